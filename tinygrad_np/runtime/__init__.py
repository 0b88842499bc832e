"""Runtime services: buffer pool, thread pool, per-thread state, and the configuration report."""

# Import from the modules: this package exports no names.
__all__: list[str] = []

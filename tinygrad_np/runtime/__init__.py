"""What a run shares: recycled memory, threads, per-thread state, and a report of them."""

# Import from the modules: this package has no names of its own.
__all__: list[str] = []

"""What the machine provides: recycled memory, threads, and a report of both."""

# Import from the modules: this package has no names of its own.
__all__: list[str] = []

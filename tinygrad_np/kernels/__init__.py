"""Plain functions of arrays to arrays; they know nothing of the tape."""

# Import from the modules: this package has no names of its own.
__all__: list[str] = []

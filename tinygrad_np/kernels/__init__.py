"""Functions from arrays to arrays, independent of the tape."""

# Import from the modules; the package itself exports nothing.
__all__: list[str] = []

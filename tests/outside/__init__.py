"""User-defined ops, outside the package."""

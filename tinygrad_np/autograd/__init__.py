"""The autograd engine: the tape, op definitions, dispatch and the backward pass."""

__all__: list[str] = []

"""The autograd engine: the tape, the definition of an op, dispatch, and the backward walk."""

__all__: list[str] = []

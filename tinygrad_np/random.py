"""The default random generator of the package. Random functions also accept a `generator`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np.errors import DtypeError
from tinygrad_np.runtime.state import thread
from tinygrad_np.schema import equal_to, integer, like

_default = np.random.default_rng()
# Largest values of the integers in the states of NumPy's bit generators.
_MOST = {
    "state": 2**128 - 1,
    "inc": 2**128 - 1,
    "has_uint32": 1,
    "uinteger": 2**32 - 1,
    "pos": 624,
    "buffer_pos": 4,
}


def manual_seed(seed: int) -> None:
    """Seed the default generator.

    All later random numbers drawn without a `generator` argument are then reproducible.

    >>> import tinygrad_np
    >>> tinygrad_np.manual_seed(0)
    """
    set_default_generator(np.random.default_rng(seed))


@contextmanager
def own_default() -> Iterator[None]:
    """Give this thread a default generator of its own inside a `with` block.

    Until the block ends, `manual_seed` and all random numbers drawn on this thread use it, so the
    block and the other threads do not disturb each other's numbers.

    >>> from tinygrad_np import Tensor
    >>> with own_default():
    ...     manual_seed(0)
    ...     x = Tensor.rand(2)
    """
    outer, thread.state.generator = thread.state.generator, np.random.default_rng()
    try:
        yield
    finally:
        thread.state.generator = outer


def resolve(generator: np.random.Generator | None) -> np.random.Generator:
    """Return `generator`, or the default generator if it is None.

    Raises:
        DtypeError: if `generator` is not a NumPy generator.
    """
    if generator is None:
        generator = default_generator()
    elif not isinstance(generator, np.random.Generator):
        raise DtypeError(
            f"generator: expected a numpy.random.Generator, got {generator!r}. Try "
            "np.random.default_rng(0)."
        )
    journal = thread.state.journal
    if journal is not None:
        journal.note_generator(generator)
    return generator


def state() -> Any:
    """Return the state of the default generator, for `restore`."""
    return default_generator().bit_generator.state


def restore(state: Any) -> None:
    """Set the state of the default generator to `state`."""
    resolve(None).bit_generator.state = state


def state_schema(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema for states of the same bit generator class as `state`.

    NumPy does not check them: it reads beyond its buffer if MT19937's position is too large.
    """
    schema: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            schema[name] = state_schema(value)
        elif isinstance(value, np.ndarray):
            schema[name] = value  # shape and dtype
        elif name == "bit_generator":
            schema[name] = equal_to(value)
        else:
            schema[name] = integer(_MOST[name]) if name in _MOST else like(value)
    return schema


def default_generator() -> np.random.Generator:
    """Return the default generator; inside `own_default`, this thread's own."""
    return _default if thread.state.generator is None else thread.state.generator


def set_default_generator(generator: np.random.Generator) -> None:
    """Make `generator` the default generator; inside `own_default`, only for this thread."""
    global _default
    if thread.state.generator is None:
        _default = generator
    else:
        thread.state.generator = generator

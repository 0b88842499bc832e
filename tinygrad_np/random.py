"""The package's one default random generator; everything random takes another one instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np.errors import DtypeError

_default = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Set the default generator, so that what follows without a `generator=` can be repeated.

    >>> import tinygrad_np
    >>> tinygrad_np.manual_seed(0)
    """
    global _default
    _default = np.random.default_rng(seed)


def resolve(generator: np.random.Generator | None) -> np.random.Generator:
    """Return `generator`, or the default one where it is None."""
    if generator is None:
        return _default
    if not isinstance(generator, np.random.Generator):
        raise DtypeError(
            f"generator: got {generator!r}, expected a numpy.random.Generator, as of "
            "np.random.default_rng(0)"
        )
    return generator


def state() -> Any:
    """Return the state of the default generator, for `replay` and `restore`."""
    return _default.bit_generator.state


def restore(state: Any) -> None:
    """Let the default generator go on from `state`."""
    _default.bit_generator.state = state


@contextmanager
def replay(state: Any) -> Iterator[None]:
    """Let the default generator repeat what it gave after `state`, and go on afterwards as if it
    had not.
    """
    global _default
    generator = _default
    after = generator.bit_generator.state
    generator.bit_generator.state = state
    try:
        yield
    finally:
        _default = generator  # also where another seed was set meanwhile
        generator.bit_generator.state = after

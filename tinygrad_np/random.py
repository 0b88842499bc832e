"""The package's one default random generator; everything random takes another one instead."""

import numpy as np

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
    return _default if generator is None else generator

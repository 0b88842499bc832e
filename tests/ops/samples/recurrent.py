"""Recurrent networks: samples, and invalid inputs with the errors they must raise."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal
from tinygrad_np import ops
from tinygrad_np.errors import ShapeError


def _networks(blocks: int, parts: int, **options: Any) -> Callable[[Any], list[Sample]]:
    """Return a function that makes samples for a network with `blocks` gates."""

    def make(generator: np.random.Generator) -> list[Sample]:
        found = []
        for number, (steps, n, width, size) in enumerate(
            [
                (1, 3, 3, 2),
                (1, 2, 2, 3),
                (3, 2, 2, 3),
                (4, 1, 1, 1),
                (2, 0, 3, 2),
                (3, 5, 4, 2),
                (2, 33, 3, 5),
            ]
        ):
            rows = blocks * size
            x = normal(generator, steps, n, width)
            if number == 5:  # stored with the batch last, like the output of a layer
                x = np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2)
            state = [normal(generator, n, size) for _ in range(parts)]
            weights = [normal(generator, rows, k) for k in (width, size)]
            # Cycle through both biases, neither, and either.
            biases = [
                None if number % 4 in absent else normal(generator, rows)
                for absent in ((1, 2), (1, 3))
            ]
            inputs = (x[0] if number == 0 else x, *state, *weights, *biases)
            found.append(Sample(inputs, {**options, "reverse": bool(number % 2)}))
        return found

    return make


def _rnns(generator: np.random.Generator) -> list[Sample]:
    return [s for relu in (False, True) for s in _networks(1, 1, relu=relu)(generator)]


TABLE: Table = {"lstm": _networks(4, 2), "gru": _networks(3, 1), "rnn": _rnns}


def _bads(name: str, parts: int, blocks: int) -> Any:
    """Return calls of an op with one wrong shape, for x (4, 2, 3) and hidden size 5."""
    rows = blocks * 5
    x, state, weights = (4, 2, 3), [(2, 5)] * parts, ((rows, 3), (rows, 5))
    refuse = functools.partial(bad, getattr(ops, name), ShapeError)
    words = "for x of shape (4, 2, 3) and hidden size 5"
    return [
        refuse(
            f"{name}: expected x of shape (L, N, input) with L >= 1, or (N, input), got (3,).",
            (3,),
            *state,
            *weights,
        ),
        refuse(f"{name}: expected x ... got (0, 2, 3).", (0, 2, 3), *state, *weights),
        refuse(
            f"{name}: expected `h` of shape (2, 5) {words}, got (1, 5).",
            x,
            (1, 5),
            *state[1:],
            *weights,
        ),
        refuse(
            f"`weight_ih` of shape ({rows}, 3) {words}, got ({rows}, 4).",
            x,
            *state,
            (rows, 4),
            weights[1],
        ),
        refuse(
            f"`weight_hh` of shape ({rows}, 5) {words}, got (7, 5).", x, *state, weights[0], (7, 5)
        ),
        refuse(f"`bias_ih` of shape ({rows},) {words}, got (3,).", x, *state, *weights, (3,)),
        refuse(f"`bias_hh` of shape ({rows},) {words}, got (1,).", x, *state, *weights, None, (1,)),
    ]


BAD: Bads = {
    "lstm": [
        *_bads("lstm", 2, 4),
        bad(
            ops.lstm,
            ShapeError,
            "`c` of shape (2, 5) ... got (2, 1).",
            (4, 2, 3),
            (2, 5),
            (2, 1),
            (20, 3),
            (20, 5),
        ),
    ],
    "gru": _bads("gru", 1, 3),
    "rnn": _bads("rnn", 1, 1),
}

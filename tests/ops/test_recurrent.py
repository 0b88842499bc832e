"""Recurrent networks as one op: accuracy, large inputs, float16, reading order."""

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, ops

BLOCKS = {"lstm": 4, "gru": 3, "rnn": 1}
each_network = each("name", list(BLOCKS))


def inputs_of(name, steps=5, n=3, width=4, size=6, dtype=np.float32, scale=1.0):
    """Return x, the state, the weights and the biases."""
    generator, rows = rng(), BLOCKS[name] * size
    shapes = [(steps, n, width), *[(n, size)] * (2 if name == "lstm" else 1)]
    shapes += [(rows, width), (rows, size), (rows,), (rows,)]
    arrays = [generator.uniform(-1, 1, shape) / size**0.5 for shape in shapes]
    arrays[0] = generator.standard_normal(shapes[0]) * scale
    return [array.astype(dtype) for array in arrays]


def run(name, arrays, function=None, upstream=None, dtype=None, **options):
    """Return the output and the gradients of all inputs."""
    leaves = [Tensor(a if dtype is None else a.astype(dtype), requires_grad=True) for a in arrays]
    out = (function or ops.table[name])(*leaves, **options)
    given = rng(1).standard_normal(out.shape) if upstream is None else upstream
    grads = out.gradient(*leaves, gradient=Tensor(given.astype(out.dtype)))
    return [out.data, *[grad.data for grad in grads]]


def errors(found, exact):
    """Return the largest error of each array relative to its largest entry."""
    return np.array(
        [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, exact, strict=True)]
    )


@pytest.mark.slow
@each_network
def test_float32_is_as_accurate_as_the_definition(name):
    """Gradients are products over up to 512 terms, whose error depends on BLAS: at most 2e-6."""
    arrays = inputs_of(name, 16, 32, 32, 64)
    exact = run(name, arrays, dtype=np.float64)
    fused, unfused = run(name, arrays), run(name, arrays, ops.table[name].definition)
    assert (errors(fused, exact) <= np.maximum(1.3 * errors(unfused, exact), 2e-6)).all()


@each_network
@each("scale", [1e3, 1e30])
def test_large_inputs_saturate_the_gates(name, scale):
    """An overflow warning would be an error in tests."""
    arrays = inputs_of(name, scale=scale)
    found, expected = run(name, arrays), run(name, arrays, ops.table[name].definition)
    for array, same in zip(found, expected, strict=True):
        assert np.isfinite(array).all()
        np.testing.assert_allclose(array, same, rtol=1e-4, atol=1e-5 * np.abs(same).max())


@each_network
def test_float16_is_computed_in_float32(name):
    arrays = inputs_of(name, dtype=np.float16)
    exact = run(name, arrays, dtype=np.float64)
    for array, expected in zip(run(name, arrays), exact, strict=True):
        assert array.dtype == np.float16
        np.testing.assert_allclose(array, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


@each_network
def test_reverse_reads_from_the_end(name):
    arrays = inputs_of(name, dtype=np.float64)
    out, of_x, *others = run(name, arrays, reverse=True)
    upstream = np.flip(rng(1).standard_normal(out.shape), -3)
    flipped = run(name, [arrays[0][::-1], *arrays[1:]], upstream=upstream)
    np.testing.assert_allclose(np.flip(out, -3), flipped[0], rtol=1e-12)
    np.testing.assert_allclose(of_x[::-1], flipped[1], rtol=1e-12)
    for grad, expected in zip(others, flipped[2:], strict=True):
        np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-12)


@each("part", [0, 1])
def test_lstm_gradient_from_only_one_part_of_the_state(part):
    """If only h is used, the kernel skips the gradient of c."""
    arrays = inputs_of("lstm", dtype=np.float64)
    upstream = np.zeros((2, 5, 3, 6))
    upstream[part] = rng(1).standard_normal((5, 3, 6))
    found = run("lstm", arrays, upstream=upstream)
    expected = run("lstm", arrays, ops.lstm.definition, upstream)
    for array, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, same, rtol=1e-9, atol=1e-12)


@each_network
def test_steps_given_one_by_one_equal_the_sequence(name):
    """If x has no axis L, it is one step."""
    x, *others = inputs_of(name, dtype=np.float64)
    count = 2 if name == "lstm" else 1
    whole = ops.table[name](x, *others)
    state, parameters = others[:count], others[count:]
    for step in range(len(x)):
        out = ops.table[name](x[step], *state, *parameters)
        np.testing.assert_allclose(out, whole[..., step, :, :], rtol=1e-12)
        state = list(out) if count == 2 else [out]


@each_network
def test_gradients_accumulate_accurately_over_many_steps(name):
    """The sums over L N = 40000 rows keep the accuracy of pairwise summation."""
    arrays = inputs_of(name, 2, 20000, 1, 1)
    for array in arrays[2:]:
        array *= 0.1
    upstream = np.ones((2, 2, 20000, 1) if name == "lstm" else (2, 20000, 1))
    exact = run(name, arrays, upstream=upstream, dtype=np.float64)
    places = slice(-4, None)
    assert (errors(run(name, arrays, upstream=upstream)[places], exact[places]) < 3e-6).all()

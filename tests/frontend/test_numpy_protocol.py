"""NumPy's functions on Tensors give NumPy's results and gradients, or our error."""

import operator
import re

import numpy as np
import pytest

from tests.tools import each, leaf, naming, normal, rng
from tinygrad_np import Tensor, transforms
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError, TinygradNpError
from tinygrad_np.frontend import numpy_functions, numpy_protocol, tensor
from tinygrad_np.frontend.numpy_functions import as_arrays, find_tensors

# Inputs of the calls below: x and y are matrices, v and w vectors, s is square, p positive, u
# inside (-1, 1), b a stack of matrices, n a number, h half integers apart from ties.
INPUTS = {
    "x": normal(2, 3),
    "y": normal(2, 3, seed=1),
    "v": normal(3, seed=2),
    "w": normal(3, seed=3),
    "s": normal(3, 3, seed=4) + 3 * np.eye(3),
    "p": rng(5).uniform(0.5, 2.0, (2, 3)),
    "u": rng(6).uniform(-0.8, 0.8, (2, 3)),
    "b": normal(2, 3, 3, seed=7) + 3 * np.eye(3),
    "n": np.array(0.7),
    "o": normal(1, 3, 1, seed=8),
}

# Calls with a gradient. All names except `np` and those of constants stand for float64 inputs.
CALLS = """
np.add(x, v)
np.add(x, [1.0, 2.0, 3.0])
np.add(2, x)
np.subtract(x, y)
np.multiply(x, y)
np.divide(x, p)
np.true_divide(1, p)
np.floor_divide(x, p)
np.remainder(x, p)
np.mod(x, p)
np.fmod(x, p)
np.divmod(x, p)
np.power(p, x)
np.power(x, 2)
np.matmul(x, s)
np.matmul(x, v)
np.vecdot(x, y)
np.vecdot(x, y, axis=0)
np.negative(x)
np.positive(x)
np.conjugate(x)
np.reciprocal(p)
np.absolute(x)
np.abs(x)
np.fabs(x)
np.sign(x)
np.copysign(x, y)
np.floor(x)
np.ceil(x)
np.trunc(x)
np.rint(x)
np.modf(x)
np.maximum(x, y)
np.minimum(x, 0)
np.square(x)
np.sqrt(p)
np.cbrt(x)
np.hypot(x, v)
np.hypot(x, 1.0)
np.exp(x)
np.exp2(x)
np.expm1(x)
np.log(p)
np.log2(p)
np.log10(p)
np.log1p(p)
np.logaddexp(x, y)
np.logaddexp2(x, y)
np.sin(x)
np.cos(x)
np.tan(u)
np.arcsin(u)
np.arccos(u)
np.arctan(x)
np.arctan2(x, y)
np.sinh(x)
np.cosh(x)
np.tanh(x)
np.arcsinh(x)
np.arccosh(p + 1)
np.arctanh(u)
np.deg2rad(x)
np.radians(x)
np.rad2deg(x)
np.degrees(x)
np.add.reduce(x)
np.add.reduce(x, axis=None)
np.multiply.reduce(x, axis=1, keepdims=True)
np.maximum.reduce(x)
np.minimum.reduce(x, 1)
np.around(x)
np.around(x, 1)
np.round(x, decimals=-1)
np.fix(x)
np.clip(x, -0.5, 0.5)
np.clip(x, None, 0.5)
np.clip(x, y, a_max=3)
np.clip(x, [-0.1, -0.2, -0.3], 1)
np.where(x > 0, x, y)
np.where(x > 0, x, 0)
np.where([True, False, True], 1.0, x)
np.where(x, y, [1.0, 2.0, 3.0])
np.nan_to_num(x)
np.real(x)
np.sum(x)
np.sum(x, 0)
np.sum(x, axis=(0, 1), keepdims=True)
np.sum(x, axis=1, dtype=np.float64)
np.sum(a=x)
np.prod(x)
np.prod(x, axis=1)
np.mean(x)
np.mean(x, axis=0, keepdims=True)
np.average(x)
np.average(x, axis=1, weights=w)
np.average(x, axis=-1, weights=w)
np.average(x, weights=p)
np.var(x)
np.var(x, axis=0)
np.var(x, axis=1, ddof=1, keepdims=True)
np.var(x, correction=1)
np.std(x)
np.std(x, axis=1)
np.std(x, ddof=1)
np.max(x)
np.max(x, axis=0)
np.amax(x, 1)
np.min(x, axis=1, keepdims=True)
np.amin(x)
np.ptp(x, axis=1)
np.cumsum(x)
np.cumsum(x, axis=1)
np.cumprod(x)
np.cumprod(x, 0)
np.diff(x)
np.diff(x, axis=0)
np.diff(v, n=2)
np.sort(x)
np.sort(x, axis=0)
np.sort(x, axis=None, kind="stable")
np.reshape(x, (3, 2))
np.reshape(x, -1)
np.ravel(x)
np.transpose(x)
np.transpose(b, (-1, 0, 1))
np.transpose(n)
np.permute_dims(b, (1, 0, 2))
np.matrix_transpose(b)
np.moveaxis(b, 0, -1)
np.moveaxis(o, [0, 1], [-1, 0])
np.swapaxes(b, 0, 2)
np.squeeze(o)
np.squeeze(o, axis=0)
np.squeeze(o, axis=(0, -1))
np.expand_dims(x, 0)
np.expand_dims(x, (0, -1))
np.broadcast_to(v, (2, 3))
np.broadcast_to(n, 3)
np.broadcast_arrays(x, v, n)
np.atleast_1d(n)
np.atleast_1d(n, v)
np.atleast_2d(v)
np.concatenate([x, y])
np.concatenate((x, y), axis=1)
np.concatenate([x, v], axis=None)
np.concatenate([v, [1.0, 2.0]])
np.concat([x, y])
np.stack([v, w])
np.stack([x, y], axis=-1)
np.vstack([v, x])
np.hstack([v, w])
np.hstack([x, y])
np.column_stack([v, w])
np.append(x, v)
np.append(x, y, axis=1)
np.split(x, 3, axis=1)
np.split(v, [1, 2])
np.array_split(v, 2)
np.array_split(v, [1, 7])
np.hsplit(x, 3)
np.hsplit(v, 3)
np.vsplit(x, 2)
np.pad(x, 1)
np.pad(x, 0)
np.pad(x, (1, 2), constant_values=3)
np.pad(x, ((0, 1), (2, 0)), mode="edge")
np.pad(x, ((1, 0), (2, 4)), "reflect")
np.pad(x, 2, mode="symmetric")
np.pad(x, 4, mode="wrap")
np.roll(x, 1)
np.roll(x, (1, 2), axis=(0, 1))
np.roll(x, -1, axis=1)
np.roll(x, 1, axis=(0, 1))
np.flip(x)
np.flip(x, 0)
np.flip(b, axis=(0, 2))
np.fliplr(x)
np.flipud(x)
np.repeat(x, 2)
np.repeat(x, 2, axis=1)
np.repeat(v, [1, 0, 2])
np.tile(v, 2)
np.tile(v, 1)
np.tile(v, (2, 2))
np.tile(b, 2)
np.meshgrid(v, w)
np.meshgrid(v, w[:2], indexing="ij")
np.take(x, [0, 0, 4])
np.take(x, np.array([[1, -1], [0, 0]]), axis=1)
np.take(v, 1)
np.take_along_axis(x, np.argsort(x, axis=1), axis=1)
np.take_along_axis(x, np.array([[-1]]), 0)
np.full_like(x, n)
np.copy(x)
np.dot(v, w)
np.dot(x, s)
np.dot(x, v)
np.dot(2, x)
np.dot(n, x)
np.dot(x, b)
np.dot([1.0, 2.0], x)
np.vdot(x, y)
np.inner(v, w)
np.inner(x, s)
np.inner(x, 2)
np.outer(v, w)
np.outer(x, v)
np.tensordot(x, s, 1)
np.tensordot(x, y)
np.tensordot(v, w, axes=0)
np.tensordot(n, x, 0)
np.tensordot(x, n, 0)
np.tensordot(x, y, ([], []))
np.tensordot(x, v, (-1, 0))
np.tensordot(b, x, axes=([0, 2], [0, 1]))
np.einsum("ij,kj->ik", x, y)
np.einsum("ii", s, optimize=True)
np.einsum("i,i", v, [1.0, 2.0, 3.0])
np.diagonal(x)
np.diagonal(b, 1, 1, 2)
np.diag(v)
np.diag(v, -1)
np.diag(x, k=1)
np.trace(s)
np.trace(b, offset=1, axis1=1, axis2=2)
np.tril(s)
np.tril(x, -1)
np.triu(b, k=1)
np.linalg.norm(x)
np.linalg.norm(v, 1)
np.linalg.norm(v, np.inf)
np.linalg.norm(x, axis=1)
np.linalg.norm(x, 3, axis=0, keepdims=True)
np.linalg.norm(x, "fro")
np.linalg.vector_norm(x, axis=1, ord=1)
np.linalg.matrix_norm(b)
np.linalg.inv(b)
np.linalg.det(s)
np.linalg.slogdet(b)
np.linalg.solve(s, v)
np.linalg.solve(b, s)
np.linalg.solve(b, s[:, :2])
np.linalg.solve(np.eye(2), x)
np.linalg.solve(b[:, :2, :2], x[:, :2])
np.linalg.cholesky(s @ s.T)
np.linalg.cholesky(s + 3 * np.eye(3))
np.linalg.cholesky(s + 3 * np.eye(3), upper=True)
np.linalg.qr(s)
np.linalg.qr(b, mode="r")
np.linalg.svd(x, full_matrices=False)
np.linalg.svd(x, compute_uv=False)
np.linalg.svdvals(b)
np.linalg.matrix_power(s, 3)
np.linalg.matrix_power(b, -2)
np.linalg.multi_dot([x, s, v])
np.linalg.matmul(x, s)
np.linalg.vecdot(x, y)
np.linalg.outer(v, w)
np.linalg.tensordot(x, y)
np.linalg.matrix_transpose(x)
np.linalg.diagonal(b)
np.linalg.trace(b, offset=1)
np.array([1.0, 2.0, 3.0]) + x
np.ones((2, 1)) - x
np.float32(2) * x
np.ones((4, 2)) @ x
np.float64(2) ** x
np.astype(x, np.float64)
"""

if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
    CALLS += """
np.clip(x, min=-0.5)
np.clip(x, min=-0.5, max=v)
np.unstack(x, axis=1)
"""

# Calls whose result has no gradient.
CONSTANT_CALLS = """
np.signbit(x)
np.signbit(-0 * x)
np.equal(x, y)
np.not_equal(x, y)
np.less(x, y)
np.less_equal(x, y)
np.greater(x, 0)
np.greater_equal(0, x)
np.isnan(x)
np.isinf(x)
np.isfinite(x)
np.logical_and(x, y > 0)
np.logical_or(x > 0, y > 0)
np.logical_xor(x > 0, y > 0)
np.logical_not(x)
np.bitwise_and(x > 0, y > 0)
np.bitwise_or(x > 0, y > 0)
np.bitwise_xor(x > 0, y > 0)
np.invert(x > 0)
np.left_shift(np.argsort(x), 2)
np.right_shift(np.argsort(x), 1)
np.logical_and.reduce(x > 0)
np.logical_or.reduce(x > 0, axis=1)
np.imag(x)
np.isclose(x, y)
np.isclose(x, x, rtol=0, atol=1e-9)
np.allclose(x, x)
np.allclose(x, y)
np.array_equal(x, x)
np.array_equal(x, [1.0])
np.all(x)
np.all(x > 0, axis=1)
np.any(x > 0, axis=0, keepdims=True)
np.argmax(x)
np.argmax(x, axis=1)
np.argmin(x, 0, keepdims=True)
np.argsort(x)
np.argsort(x, axis=None)
np.count_nonzero(x > 0)
np.count_nonzero(x, axis=1)
np.nonzero(x > 0)
np.where(x > 0)
np.where(x > 0, 1.0, 0.0)
np.argwhere(x > 0)
np.flatnonzero(x > 0)
np.iscomplexobj(x)
np.isrealobj(x)
np.shape(x)
np.ndim(x)
np.size(x)
np.size(x, 1)
np.zeros_like(x)
np.ones_like(x, dtype=np.int64)
np.full_like(x, 3, shape=(2,))
np.linalg.matrix_power(b, 0)
"""


MASKED = np.ma.masked_array([0, 1], [True, False])


def lines(text):
    return [line for line in text.splitlines() if line]


def names_in(call):
    """Return the names of the inputs in a call."""
    code = compile(call, call, "eval")
    return sorted({name for name in code.co_names if name in INPUTS})


def run(call, values):
    """Evaluate a call; return its results as a list."""
    result = eval(call, {"np": np, **INPUTS, **values})
    return list(result) if isinstance(result, list | tuple) else [result]


def compare(call, results, expected):
    assert len(results) == len(expected)
    for one, other in zip(results, expected, strict=True):
        one = one.data if isinstance(one, Tensor) else one
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def scalar(results, weights):
    return sum((r * w).sum() for r, w in zip(results, weights, strict=True))


def central_differences(call, values, name, weights, eps=1e-6):
    """Return the derivative of the weighted sum of a call's results, computed by NumPy."""
    grad = np.zeros_like(values[name])
    for at in np.ndindex(grad.shape):
        sides = []
        for step in (eps, -eps):
            moved = values[name].copy()
            moved[at] += step
            sides.append(scalar(run(call, {**values, name: moved}), weights))
        grad[at] = (sides[0] - sides[1]) / (2 * eps)
    return grad


@each("call", lines(CALLS))
def test_function_has_the_values_and_gradients_of_numpy(call):
    values = {name: INPUTS[name] for name in names_in(call)}
    expected = run(call, values)
    weights = [rng(9).standard_normal(np.shape(part)) for part in expected]
    leaves = {name: leaf(value) for name, value in values.items()}
    results = run(call, leaves)
    assert all(isinstance(result, Tensor) for result in results)
    compare(call, results, expected)
    for result, array in zip(results, expected, strict=True):
        for name, input_ in leaves.items():
            is_view = np.shares_memory(result.data, input_.data)
            assert is_view == np.shares_memory(array, values[name])
    total = scalar(results, weights)
    assert total.requires_grad
    total.backward()
    for name, input_ in leaves.items():
        grad = np.zeros(input_.shape) if input_.grad is None else input_.grad.data
        numeric = central_differences(call, values, name, weights)
        np.testing.assert_allclose(grad, numeric, rtol=1e-5, atol=1e-7, err_msg=name)


@each("call", lines(CONSTANT_CALLS))
def test_function_without_a_gradient_has_the_values_of_numpy(call):
    results = run(call, {name: leaf(INPUTS[name]) for name in names_in(call)})
    compare(call, results, run(call, {}))
    assert all(isinstance(result, Tensor | bool | int) for result in results)
    assert not any(getattr(result, "requires_grad", False) for result in results)


# Every other function.


def dispatching():
    """Return NumPy's ufuncs and functions that dispatch, by name."""
    found = {}
    for prefix, module in (("np.", np), ("np.linalg.", np.linalg)):
        for name in module.__all__:
            function = getattr(module, name)
            if isinstance(function, np.ufunc) or hasattr(function, "_implementation"):
                found[prefix + name] = function
    return found


def attempts(t):
    """Yield arguments to try, until NumPy accepts their number."""
    yield from [(t,), (t, t), ([t, t],), (t, 1), (t, t, t), (t, 0, 1), (1, t, t), ("file", t)]
    yield from [(t, t, t, t), ("i->i", t), ([t > 0], [t]), (t, lambda z: z), (np.sum, 0, t)]
    yield from [(np.sum, t, 0), ([t], t), (t, [t > 0], [0])]


def outcome(function, args, reached):
    """Return the result or the error of a call that reaches the Tensor, else None."""
    reached.clear()
    try:
        result = function(*args)
    except Exception as error:
        return error if reached else None
    return result if reached else None


def test_every_function_of_numpy_has_a_gradient_or_raises_our_error(monkeypatch):
    reached = []
    for name in ("array_ufunc", "array_function"):
        original = getattr(tensor, name)
        spy = lambda *args, call=original: reached.append(args) or call(*args)  # noqa: E731
        monkeypatch.setattr(tensor, name, spy)
    called = "".join([CALLS, CONSTANT_CALLS, "np.empty_like np.copyto np.result_type "])
    known = {*numpy_protocol._UFUNCS, *numpy_protocol._FUNCTIONS}
    functions = dispatching()
    for name, function in functions.items():
        if function in known:
            aliases = [other for other in functions if functions[other] is function]
            assert any(re.search(rf"{re.escape(alias)}\b", called) for alias in aliases), name
            continue
        x = leaf(INPUTS["s"])
        for t in (x,) if function.__name__ in numpy_protocol._ON_ARRAYS else (x, x.detach()):
            results = (outcome(function, args, reached) for args in attempts(t))
            error = next((result for result in results if result is not None), None)
            with naming(name):
                assert isinstance(error, TinygradNpError), repr(error)
                own_name = f"{name.rpartition('.')[0]}.{function.__name__}"
                assert re.match(rf"{own_name}: .*\. Use .*\.$", str(error)), error


def test_functions_that_return_facts_run_on_arrays():
    x = Tensor(INPUTS["v"])
    counts, edges = np.histogram(x, 2)
    np.testing.assert_array_equal(counts, np.histogram(INPUTS["v"], 2)[0])
    assert type(edges) is np.ndarray
    assert np.shares_memory(x, x.data)
    assert np.array_repr(x) == repr(x.data)
    assert type(np.unique(x)) is np.ndarray
    with pytest.raises(GraphError, match=r"np\.histogram: .*Use x\.detach\(\)\.numpy\(\)\."):
        np.histogram(leaf(INPUTS["v"]), 2)


def test_testing_functions_accept_tensors():
    x = Tensor(INPUTS["x"])
    np.testing.assert_allclose(x, INPUTS["x"])
    np.testing.assert_array_equal(x, x)
    np.testing.assert_equal(x, INPUTS["x"])
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(x, INPUTS["y"])
    with pytest.raises(GraphError):
        np.testing.assert_allclose(leaf(INPUTS["x"]), INPUTS["x"])


@each(
    ("call", "error", "message"),
    [
        (lambda x: np.exp(x, out=np.ones(2)), ArgumentError, "np.exp: expected no argument `out`"),
        (lambda x: np.add(x, 1, out=x), ArgumentError, r"np\.add: .* `out` .*such as x \+= y"),
        (lambda x: np.sum(x, out=np.ones(())), ArgumentError, r"np\.sum: .*`out` .*returned Ten"),
        (lambda x: np.sum(np.ones(2), out=x), ArgumentError, r"np\.sum: .*`out`"),
        (lambda x: np.exp(x, where=[True, False]), ArgumentError, r"np\.exp: .*`where`.*x\[mask\]"),
        (lambda x: np.exp(x, dtype=np.float32), ArgumentError, r"np\.exp: .*x\.cast\(dtype\)"),
        (lambda x: np.mean(x, 0, np.float64), ArgumentError, "at most 2 positional arguments"),
        (lambda x: np.max(x, initial=3), ArgumentError, r"np\.max: .*`initial` .*got 3.*maximum"),
        (lambda x: np.sort(x, order="f"), ArgumentError, r"np\.sort: .*`order`.*no fields"),
        (lambda x: np.reshape(x, 2, order="F"), ArgumentError, r"np\.reshape: .*`order`"),
        (lambda x: np.add.accumulate(x), DtypeError, r"np\.add\.accumulate: .*Use np\.cumsum"),
        (
            lambda x: np.maximum.accumulate(x),
            DtypeError,
            r"Use x\.cummax\(axis\)\.values\.$",
        ),
        (lambda x: np.logaddexp.reduce(x), DtypeError, r"Use x\.logsumexp\(axis\)\.$"),
        (lambda x: np.nanmean(x), DtypeError, r"Use np\.sum\(np\.where\(np\.isnan\(x\), 0, x\)"),
        (lambda x: np.subtract.reduce(x), DtypeError, r"np\.subtract\.reduce: .*detach"),
        (lambda x: np.add.at(x, 0, 1), DtypeError, r"np\.add\.at: .*Use x\.scatter_add\("),
        (lambda x: np.ones_like(x, dtype=complex), DtypeError, r"^np\.ones_like: .*complex128"),
        (lambda x: np.zeros_like(x, object), DtypeError, r"^np\.zeros_like: .* got object"),
        (lambda x: np.full_like(x, 1j), DtypeError, r"^np\.full_like: .* got complex128"),
        (lambda x: np.transpose(x, ()), ShapeError, "permute: "),
        (lambda x: np.take(x, MASKED), DtypeError, r"^np\.take: expected an array without a mask"),
        (lambda x: np.add([MASKED, MASKED], x), DtypeError, r"^np\.add: .* without a mask"),
        (lambda x: np.add.at(np.ones(2), 0, x), DtypeError, r"np\.add\.at: "),
        (lambda x: np.copyto(x, 1), ArgumentError, r"np\.copyto: .*x\[\.\.\.\] = value"),
        (lambda x: np.median(x), DtypeError, r"np\.median: .*Use np\.sort"),
        (lambda x: np.fmax(x, 0), DtypeError, r"np\.fmax: .*Use np\.maximum"),
        (lambda x: np.diff(x, -1), ArgumentError, r"diff: expected `n` to be >= 0"),
        (lambda x: np.pad(x, (0, -1)), ShapeError, r"np\.pad: expected `pad_width` to be >= 0"),
        (
            lambda x: np.linalg.norm(x, "fro"),
            ArgumentError,
            r"np\.linalg\.norm: .*for shape \(2,\)",
        ),
        (lambda x: np.linalg.outer(x[None], x), ShapeError, "outer: "),
        (lambda x: np.broadcast_to(x, (1, -1)), ShapeError, r"np\.broadcast_to: "),
        (lambda x: np.squeeze(x, 0), ShapeError, r"np\.squeeze: expected axes of length 1"),
        (lambda x: np.split(x, 3), ShapeError, r"np\.split: .*Got \(2,\) float64, 3"),
        (lambda x: np.pad(x, 1, mode="mean"), ArgumentError, r"np\.pad: .*got 'mean'"),
        (lambda x: np.pad(x, 1, constant_values=(1, 2)), ArgumentError, r"np\.pad: .*\(1, 2\)"),
        (lambda x: np.pad(x, 1, constant_values=x[0]), GraphError, "for the option `value`"),
        (lambda x: np.linalg.norm(np.diag(x), 2), ArgumentError, r"np\.linalg\.norm: .*got 2"),
        (lambda x: np.linalg.qr(np.diag(x), "raw"), ArgumentError, r"np\.linalg\.qr: .*'raw'"),
        (lambda x: np.average(x, weights=np.ones(3)), ShapeError, r"np\.average: .*`weights`"),
        (lambda x: np.tensordot(x, np.ones(3), 1), ShapeError, r"np\.tensordot: .*`axes`"),
        (lambda x: np.take_along_axis(x, 0, 0), ShapeError, r"np\.take_along_axis: .*`indices`"),
        (lambda x: np.moveaxis(x, 3, 0), IndexError, "movedim: expected an axis from"),
        (lambda x: np.zeros(2, like=x), DtypeError, r"np\.zeros: "),
        (lambda x: np.add(x, "a"), DtypeError, "add: expected"),
        (lambda x: np.matmul(x, 2.0), ShapeError, r"matmul: .*Use \*"),
    ],
    ids=map(str, range(45)),
)
def test_what_is_not_supported_is_refused_by_name(call, error, message):
    for x in (leaf(1.0, 2.0), leaf(1.0, 2.0).detach()):
        if "option `value`" in message and not x.requires_grad:
            continue
        with pytest.raises(error, match=message):
            call(x)


@each(
    ("name", "call"),
    [
        ("nanmean", "np.nanmean(x, axis)"),
        ("nanprod", "np.nanprod(x, axis)"),
        ("nansum", "np.nansum(x, axis)"),
        ("np.logaddexp.accumulate", "np.logaddexp.accumulate(x, axis)"),
        ("np.logaddexp.reduce", "np.logaddexp.reduce(x, axis)"),
        ("np.maximum.accumulate", "np.maximum.accumulate(x, axis)"),
        ("np.minimum.accumulate", "np.minimum.accumulate(x, axis)"),
    ],
)
def test_remedy_gives_the_result_of_the_function(name, call):
    array = np.array([[1.0, 3.0, 2.0], [4.0, np.nan, -5.0]] if "nan" in name else INPUTS["x"])
    remedy, axis = numpy_protocol._REMEDIES[name], 1
    x = leaf(array)
    with pytest.raises(DtypeError, match=re.escape(remedy.split("(")[0])):
        eval(call, {"np": np, "x": x, "axis": axis})
    result = eval(remedy, {"np": np, "x": x, "axis": axis})
    assert result.requires_grad
    compare(call, [result], [eval(call, {"np": np, "x": array, "axis": axis})])


def test_remedy_for_add_at_adds_repeated_indices():
    remedy = numpy_protocol._REMEDIES["np.add.at"]
    array, index, value = np.zeros(3), np.array([0, 2, 2]), leaf(1.0, 2.0, 3.0)
    out = eval(remedy, {"x": Tensor(array), "axis": 0, "index": index, "value": value})
    np.add.at(array, index, value.data)
    assert out.tolist() == array.tolist()


def test_array_filled_by_a_tensor():
    assert np.full(2, Tensor(3.0)).tolist() == [3.0, 3.0]
    array = np.zeros(2)
    np.copyto(array, Tensor([1.0, 2.0]), where=Tensor([True, False]))
    assert array.tolist() == [1.0, 0.0]
    with pytest.raises(GraphError, match=r"requires a gradient.*\.detach\(\)"):
        np.copyto(array, leaf(1.0))


@each("change", [operator.iadd, operator.isub, operator.imul, operator.itruediv])
def test_array_changed_in_place_by_a_tensor(change):
    array, x = np.array([1.0, 2.0]), leaf(3.0, 4.0)
    expected = change(array.copy(), x.data)
    with pytest.raises(GraphError, match=r"np\.\w+: .*array = array \+ x.*x\.detach\(\)"):
        change(array, x)
    assert change(array, x.detach()) is array
    np.testing.assert_array_equal(array, expected)
    with pytest.raises(ShapeError, match=r"^np\.\w+: expected shapes that broadcast"):
        change(array, Tensor([1.0, 2.0, 3.0]))
    with pytest.raises(DtypeError, match=r"^np\.\w+: Cannot cast ufunc"):
        change(np.array([1, 2]), x.detach())


def test_float32_tensors_stay_float32():
    x = Tensor([1.0, 2.0])
    for result in (np.exp(x), np.float64(2) * x, np.mean(x), np.clip(x, 0, 1), np.hypot(x, 1.0)):
        assert result.dtype == np.float32


def test_condition_that_changes_later_is_detected():
    x, mask = leaf(1.0, 2.0), Tensor([True, False])
    y = np.where(mask, x, 0).sum()
    mask &= False
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_result_type_is_numpys():
    assert np.result_type(leaf(1.0), np.float32) == np.float64


def test_named_results_of_factorizations():
    x = leaf(INPUTS["s"])
    assert np.linalg.slogdet(x).logabsdet.requires_grad
    assert np.linalg.svd(x).S.requires_grad
    assert np.linalg.qr(x).R.requires_grad


def test_indices_of_nonzero_entries_are_a_key():
    x = leaf(INPUTS["x"])
    picked = x[np.nonzero(x > 0)]
    np.testing.assert_array_equal(picked.data, x.data[np.nonzero(x.data > 0)])


def test_nan_and_inf_are_replaced():
    x = leaf(np.nan, np.inf, -np.inf, 2.0)
    out = np.nan_to_num(x, nan=1.0, posinf=5.0)
    np.testing.assert_array_equal(out.data, np.nan_to_num(x.data, nan=1.0, posinf=5.0))
    out.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_results_of_special_values_are_numpys():
    for values in ([np.inf, -np.inf, np.nan, 1.5, -2.0], [True, False], [3, -4]):
        array, x = np.array(values), Tensor(np.array(values))
        compare("modf", np.modf(x), np.modf(array))
        if array.dtype != bool:
            compare("sign", [np.sign(x)], [np.sign(array)])
    for values in ([14, 15, 25, -35, 251], [2.5, 1.5, 149.9, np.nan]):
        rounded = np.round(Tensor(np.array(values)), -1)
        compare("round", [rounded], [np.round(np.array(values), -1)])
        assert rounded.dtype == np.array(values).dtype


def test_trailing_none_is_the_default():
    x = leaf(INPUTS["x"])
    assert np.mean(x, 0, None, None).tolist() == np.mean(INPUTS["x"], 0).tolist()


def test_integers_are_copied():
    x = Tensor([1, 2])
    for copy in (np.positive(x), np.conj(x), np.nan_to_num(x), np.copy(x)):
        assert copy.tolist() == [1, 2]
        assert not np.shares_memory(copy.data, x.data)


def test_newer_functions():
    x = leaf(INPUTS["x"])
    rows = numpy_functions.unstack(x)
    np.testing.assert_array_equal(rows[1].data, x.data[1])
    assert numpy_functions.astype(x, np.float32).dtype == np.float32
    assert np.astype(x, np.float32).requires_grad
    if hasattr(np, "unstack"):
        assert np.unstack(x, axis=1)[2].requires_grad


# Plain NumPy programs, differentiated unchanged.


def logistic_regression(w):
    features, labels = INPUTS["b"].reshape(6, 3), np.array([0.0, 1, 1, 0, 1, 0])
    logits = np.dot(features, w)
    return np.mean(np.logaddexp(0, logits) - labels * logits)


def gaussian_log_likelihood(w):
    mean, log_std = w[:2], w[2]
    points = INPUTS["p"].T
    squares = np.sum((points - mean) ** 2, axis=1) / np.exp(2 * log_std)
    return -np.sum(0.5 * squares + 2 * log_std + np.log(2 * np.pi))


def correlated_log_likelihood(w):
    factor = np.tril(np.outer(w, w)) + 2 * np.eye(3)
    covariance = np.matmul(factor, factor.T)
    _, logdet = np.linalg.slogdet(covariance)
    offset = INPUTS["x"] - w
    solved = np.linalg.solve(covariance, offset.T)
    return -0.5 * (np.einsum("ij,ji->", offset, solved) + len(offset) * logdet)


def mlp(w):
    inputs, targets = INPUTS["x"], np.array([[1.0], [-1.0]])
    first = np.reshape(np.concatenate([w, 2 * w, w**2, -w]), (3, 4))
    hidden = np.maximum(np.tanh(inputs @ first), 0.1 * inputs[:, :1])
    outputs = np.sum(hidden, axis=1, keepdims=True)
    return np.mean((outputs - targets) ** 2) + 0.1 * np.linalg.norm(w)


def softmax_entropy(w):
    shifted = np.stack([w, np.roll(w, 1)]) - np.max(w)
    chances = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    return -np.sum(np.where(chances > 0, chances * np.log(chances), 0.0))


@each(
    "function",
    [
        logistic_regression,
        gaussian_log_likelihood,
        correlated_log_likelihood,
        mlp,
        softmax_entropy,
    ],
)
def test_plain_numpy_function_is_differentiated_unchanged(function):
    w, eps = INPUTS["v"] * 0.5, 1e-5
    assert type(function(w)) is np.float64
    x = Tensor(w)
    np.testing.assert_allclose(function(x).item(), function(w), rtol=1e-12)
    grad = transforms.grad(function)
    steps = np.eye(3) * eps
    numeric = [(function(w + step) - function(w - step)) / (2 * eps) for step in steps]
    np.testing.assert_allclose(grad(x).numpy(), numeric, rtol=1e-6, atol=1e-8)
    rows = [(grad(Tensor(w + s)) - grad(Tensor(w - s))).numpy() / (2 * eps) for s in steps]
    np.testing.assert_allclose(transforms.hessian(function)(x).numpy(), rows, rtol=1e-5, atol=1e-6)


def test_jacobian_of_a_plain_numpy_function():
    matrix = INPUTS["s"]
    jacobian = transforms.jacobian(lambda w: np.tanh(np.dot(matrix, w)))(Tensor(INPUTS["v"]))
    slope = 1 - np.tanh(matrix @ INPUTS["v"]) ** 2
    np.testing.assert_allclose(jacobian.numpy(), slope[:, None] * matrix, rtol=1e-12)


def test_helpers_read_nested_arguments():
    x = leaf(1.0)
    assert as_arrays({"a": [x, (x, 2)]}) == {"a": [x.data, (x.data, 2)]}
    assert list(find_tensors({"a": [1, (x, "b")]})) == [x]

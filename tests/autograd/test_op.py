"""User-defined ops: valid and invalid definitions, and how the rest of the package uses them."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from tests.outside import ops_of_a_user
from tests.outside.ops_of_a_user import attended, leaky_clip, soft_relu
from tests.tools import each, leaf, normal
from tinygrad_np import (
    Tensor,
    debug,
    gradcheck,
    gradgradcheck,
    nn,
    no_grad,
    op,
    ops,
    optim,
    profile,
    viz,
)
from tinygrad_np.errors import (
    AxisError,
    DtypeError,
    GraphError,
    NotFiniteError,
    ShapeError,
    TinygradNpError,
)
from tinygrad_np.frontend.operators import method
from tinygrad_np.transforms import grad, hessian

# The op, a function that calls it, and arrays to call it on, away from kinks.
OWN = {
    "soft_relu": (soft_relu, soft_relu, [normal(2, 3)]),
    "leaky_clip": (leaky_clip, lambda x: leaky_clip(x, limit=0.5), [normal(2, 3)]),
    "attended": (attended, attended, [normal(2, 3), normal(2, 3, seed=1)]),
    "attended, broadcast": (attended, attended, [normal(4, 2, 3), normal(3, seed=1)]),
}
each_op = pytest.mark.parametrize(("own", "call", "arrays"), OWN.values(), ids=OWN)


# Features that every op has automatically.


@each_op
@each("full", [False, True])
def test_gradients_match_central_differences(own, call, arrays, full):
    gradcheck(call, arrays, full=full)
    gradgradcheck(call, arrays, full=full)


def test_omitted_input_is_none_in_vjp():

    @op("x, or x y", vjps={"x": lambda grad_out, y: grad_out if y is None else grad_out * y})
    def maybe_scaled(x, y=None):
        return x.copy() if y is None else x * y

    x = leaf(2.0, 3.0)
    assert maybe_scaled(x).sum().gradient(x)[0].tolist() == [1.0, 1.0]
    assert maybe_scaled(x, Tensor(5.0)).sum().gradient(x)[0].tolist() == [5.0, 5.0]


@each_op
def test_arrays_return_arrays_and_tensors_return_tensors(own, call, arrays):
    out, tensor = call(*arrays), call(*map(Tensor, arrays))
    assert type(out) is np.ndarray
    assert type(tensor) is Tensor
    assert out.tolist() == tensor.tolist()
    with no_grad():
        assert call(*[leaf(*array) for array in arrays]).node is None


@each_op
def test_float32_stays_float32(own, call, arrays):
    leaves = [leaf(*array, dtype=np.float32) for array in arrays]
    out = call(*leaves)
    out.sum().backward()
    assert {out.dtype, *(tensor.grad.dtype for tensor in leaves)} == {np.dtype(np.float32)}
    assert [tensor.grad.shape for tensor in leaves] == [array.shape for array in arrays]


@each_op
def test_frozen_inputs_run_no_vjp(own, call, arrays):
    for wanted in range(len(arrays)):
        tensors = [Tensor(array) for array in arrays]
        tensors[wanted].requires_grad = True
        with profile() as table:
            call(*tensors).sum().backward()
        (row,) = (row for row in table.rows() if row.op == own.name)
        assert (row.calls, row.backward_calls) == (1, 1)


def test_only_requested_values_are_saved():
    x = leaf(0.5, 2.0)
    assert [saved.tolist() for saved in soft_relu(x).node.saved] == [[0.5, 2.0]]
    assert [saved.tolist() for saved in leaky_clip(x).node.saved] == [[True, False]]


@each_op
def test_debug_names_op_and_line_of_forward_nan(own, call, arrays):
    arrays = [array.copy() for array in arrays]
    arrays[0][..., 0] = np.nan
    line = r": own\(\*tensors\)  # the call$"
    tensors = [leaf(*array) for array in arrays]
    place = rf"It was called at {re.escape(__file__)}:\d+, in .*"
    message = rf"op '{own.name}' returned nan in .* containing nan.*\. {place}"
    with debug(), pytest.raises(NotFiniteError, match=message + line):
        own(*tensors)  # the call


def test_debug_names_vjp_and_line_of_forward():
    with debug():
        out = soft_relu(leaf(1.0, 2.0)).sum()  # forward
        with pytest.raises(NotFiniteError, match=r"VJP of op 'sum' .*"):
            out.backward(np.array(np.nan))
        y = leaky_clip(leaf(1.0, 3.0), slope=1e200)  # forward
        message = (
            r"VJP of op 'leaky_clip' for input 0 \(x\) returned inf in 1 of 2 .* y = .* # forward"
        )
        with pytest.raises(NotFiniteError, match=message):
            y.backward(np.array([1.0, 1e200]))


@each_op
def test_profile_has_a_row_per_op(own, call, arrays):
    class Layer(nn.Module):
        def forward(self, *tensors):
            return call(*tensors)

    class Model(nn.Module):
        def __init__(self):
            self.layer = Layer()

        def forward(self, *tensors):
            return self.layer(*tensors)

    with profile() as table:
        out = Model()(*[leaf(*array) for array in arrays])
        out.sum().backward()
    (row,) = (row for row in table.rows() if row.op == own.name)
    # One VJP, or one kernel for all inputs.
    assert (row.module, row.calls, row.backward_calls) == ("layer", 1, 1)
    assert row.nbytes == out.data.nbytes
    assert re.search(rf"^{own.name} +layer ", str(table), re.MULTILINE)


def test_flops_default_to_one_per_element():
    x = Tensor(normal(4, 2, 3))
    with profile() as table:
        attended(x, Tensor(normal(3)))
        leaky_clip(x)
        with no_grad():
            soft_relu(x.data)
    flops = {row.op: row.flops for row in table.rows()}
    assert flops == {"attended": 5 * 24 + 2 * 24, "leaky_clip": 24, "soft_relu": 24}


def test_graph_drawing_shows_options():
    y = leaky_clip(soft_relu(leaf(1.0, 2.0)), slope=0.25)
    source = viz.draw(attended(y, y)).source
    for text in ("<b>soft_relu</b>", "<b>leaky_clip</b>", "slope=0.25", "<b>attended</b>"):
        assert text in source


def test_second_and_third_derivatives_match_formula():
    x = np.linspace(-2, 2, 5)
    s = 1 / (1 + np.exp(-x))
    second = hessian(lambda x: soft_relu(x).sum())(x)
    np.testing.assert_allclose(second.data, np.diag(s * (1 - s)), atol=1e-15)
    third = grad(grad(grad(soft_relu)))(np.array(0.7))
    s = 1 / (1 + np.exp(-0.7))
    assert third.item() == pytest.approx(s * (1 - s) * (1 - 2 * s))


def test_fused_op_matches_definition_to_second_order():
    found, expected = [], []
    for function, numbers in ((attended, found), (attended.definition, expected)):
        scores, values = leaf(*normal(4, 3)), leaf(*normal(4, 3, seed=1))
        out = function(scores, values)
        first = (out * out).sum().gradient(scores, values, create_graph=True)
        second = sum((slope**3).sum() for slope in first).gradient(scores, values)
        numbers += [out, *first, *second]
    for ours, definition in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.data, definition.data, rtol=1e-10, atol=1e-12)


def test_network_of_user_defined_ops_trains():
    class Network(nn.Module):
        def __init__(self):
            generator = np.random.default_rng(0)
            self.first = nn.Linear(2, 16, generator=generator)
            self.scores = nn.Linear(16, 8, generator=generator)
            self.values = nn.Linear(16, 8, generator=generator)

        def forward(self, x):
            hidden = leaky_clip(soft_relu(self.first(x)), limit=3.0)
            return attended(self.scores(hidden), self.values(hidden))

    model = Network()
    x = normal(64, 2).astype(np.float32)
    target = x[:, :1] * x[:, 1:]
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = ((model(x) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.5
    assert losses[-1] < 0.05


def test_repr_shows_formula_and_table_excludes_user_ops():
    assert repr(soft_relu) == "<op soft_relu: log(1 + exp(x))>"
    assert soft_relu.__doc__ == "A smooth relu."
    assert not {"soft_relu", "leaky_clip", "attended"} & set(ops.table)
    assert Path(ops_of_a_user.__file__).parent.name == "outside"


def test_floating_converts_integers():
    assert soft_relu(Tensor([0, 1])).dtype == np.float32


# Ops that are differentiated through their definition.


@op("x^2 y", definition=lambda x, y: ops.mul(ops.mul(x, x), y), differentiable=("x", "y"))
def only_defined(x, y):
    """An op with a definition instead of VJPs."""
    return x * x * y


def test_definition_is_differentiated_to_any_order():
    x, y = normal(2, 3), normal(3, seed=1)
    gradcheck(only_defined, [x, y])
    gradgradcheck(only_defined, [x, y])
    triple = grad(grad(grad(lambda x: only_defined(x, x))))
    assert triple(np.array(2.0)).item() == pytest.approx(6.0)


def test_definition_graph_is_freed_and_grads_share_no_memory():
    x, y = leaf(2.0, 3.0), leaf(1.0, 1.0)
    out = only_defined(x, y).sum()
    out.backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([4.0, 6.0], [4.0, 9.0])
    assert not np.shares_memory(x.grad.data, y.grad.data)
    with pytest.raises(GraphError, match="was freed"):
        out.backward()


def test_definition_accepts_constants_and_intermediate_inputs():
    x = leaf(2.0, 3.0)
    for first, second, expected in (
        (np.array([5.0, 5.0]), x, [25.0, 25.0]),
        (x, 2.0, [8.0, 12.0]),
        (x * 1, x * 1, [12.0, 27.0]),
        (x, x, [12.0, 27.0]),
    ):
        (slope,) = only_defined(first, second).gradient(x, gradient=np.ones(2))
        assert slope.tolist() == expected


def test_definition_accepts_variadic_inputs_and_options():
    def definition(*xs, power):
        total = xs[0] ** power
        for x in xs[1:]:
            total = total + x**power
        return total

    @op("sum of xs^power", definition=definition, differentiable=("xs",))
    def powers(*xs, power=2):
        return np.sum([x**power for x in xs], axis=0)

    x, y, z = normal(3, 2, 2)
    gradcheck(lambda *xs: powers(*xs, power=3), [x, y, z])
    gradgradcheck(lambda *xs: powers(*xs), [x, y, z])


def test_input_unused_by_definition_has_no_gradient():
    @op("2 x", definition=lambda x, y: ops.mul(x, 2), differentiable=("x", "y"))
    def first(x, y):
        return x * 2

    x, y = leaf([1.0]), leaf([1.0])
    first(x, y).sum().backward()
    assert x.grad.tolist() == [2.0]
    assert y.grad is None


def test_definition_detects_changed_input():
    x, y = leaf([2.0]), leaf([3.0])
    out = only_defined(x, y)
    with no_grad():
        y[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'only_defined' .* was changed in place"):
        out.sum().backward()


def test_debug_names_line_in_failing_definition():
    @op("log x", definition=lambda x: ops.log(x), differentiable=("x",))  # the definition
    def own_log(x):
        return np.log(x + 1e-300)

    with debug():
        out = own_log(leaf([0.0])).sum()
        with pytest.raises(NotFiniteError, match=r"op 'log' returned inf.*# the definition"):
            out.backward()


def test_input_missing_from_differentiable_has_no_gradient():
    @op("x y", definition=lambda x, y: ops.mul(x, y), differentiable=("x",))
    def product(x, y):
        return x * y

    x, y = leaf(2.0, 3.0), leaf(5.0, 7.0)
    product(x, y.detach()).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    with pytest.raises(
        GraphError, match="product: the op defines no gradient for input 'y', but the tensor"
    ):
        product(x, y)


def test_kernel_runs_first_order_and_definition_create_graph():
    def definition(x):
        calls.append("definition")
        return ops.mul(x, x)

    def kernel(grad_out, x):
        calls.append("kernel")
        return [grad_out * 2 * x]

    calls = []
    square = op("x^2", definition=definition, differentiable=("x",), backward=kernel)(
        lambda x: x * x
    )
    x = leaf([3.0])
    square(x).sum().backward()
    (slope,) = square(x).sum().gradient(x, create_graph=True)
    assert (calls, x.grad.tolist()) == (["kernel", "definition"], [6.0])
    assert slope.gradient(x)[0].tolist() == [2.0]


def test_invalid_definition_result_raises():
    for definition, got in (
        (lambda x: ops.sum(x), r"\(\) float64"),
        (lambda x: x.float(), r"\(2,\) float32"),
        (lambda x: None, "NoneType"),
    ):
        own = op("x", definition=definition, differentiable=("x",))(lambda x: x * 1)
        message = rf"'<lambda>': expected `definition` to return .* dtype float64, got {got}\.$"
        with pytest.raises(GraphError, match=message):
            own(leaf(1.0, 2.0)).sum().backward()


# Errors when an op is defined.


def double(x):
    """A forward function."""
    return x * 2


def times(grad_out):
    """A VJP."""
    return grad_out * 2


@each(
    ("options", "message"),
    [
        (
            {"vjps": {"y": times}},
            r"op 'double': .* gradients only for the inputs \['x'\], got some for \['y'\]",
        ),
        (
            {"definition": double, "differentiable": ("y",)},
            r"op 'double': .* gradients only for the inputs \['x'\], got some for \['y'\]",
        ),
        ({"keeps": ("out",)}, r"op 'double': the engine reserves the names \['out'\]"),
        ({"keeps": ("x_shape",)}, r"op 'double': the engine reserves the names \['x_shape'\]"),
        (
            {"vjps": {"x": times}, "selection": True},
            "op 'double': expected an op with `selection` to have one input, view=True and `vjps`",
        ),
        (
            {"vjps": {"x": times}, "view": True, "backward": times, "selection": True},
            "op 'double': .* but no `backward`, `keeps` or `caches`",
        ),
        (
            {"vjps": {"x": times}, "backward_flops": lambda grad_out: 0},
            "op 'double': `backward_flops` requires a `backward` kernel",
        ),
        (
            {"vjps": {"x": lambda g: g}},
            r"first parameter of the VJP for 'x' to be `grad_out`, got the parameters \['g'\]",
        ),
        (
            {"vjps": {"x": lambda grad_out, *, x: x}},
            r"the VJP for 'x' to have positional parameters only, got keyword-only \['x'\]. Remove",
        ),
        (
            {"vjps": {"x": lambda x, grad_out: x}},
            r"the VJP for 'x' to be `grad_out`, got the parameters \['x', 'grad_out'\]",
        ),
        ({"vjps": {"x": lambda: 0}}, r"the VJP for 'x' to be `grad_out`, got the parameters \[\]"),
        (
            {"vjps": {"x": lambda grad_out, y: y}},
            r"the parameters of the VJP for 'x' to be among \['grad_out', 'out', 'x', 'x_dtype', "
            r"'x_shape'\], got \['y'\]",
        ),
        (
            {"vjps": {"x": lambda grad_out, mask: mask}, "caches": ("mask",)},
            r"the parameters of the VJP for 'x' to be among .*, got \['mask'\]",
        ),
        *[
            ({"vjps": {"x": (lambda text: eval(text))(f"lambda grad_out, {name}: 0")}}, name)
            for name in ("wanted", "overwrite")
        ],
        (
            {"definition": double},
            "expected either `vjps`, or `definition` together with `differentiable`",
        ),
        (
            {"differentiable": ("x",)},
            "expected either `vjps`, or `definition` together with `differentiable`",
        ),
        (
            {"vjps": {"x": times}, "definition": double, "differentiable": ("x",)},
            "expected either `vjps`, or `definition` together with `differentiable`",
        ),
        (
            {"backward": times},
            "`backward` computes first-order gradients only. Define `vjps` or a `definition`",
        ),
        (
            {"vjps": {"x": times}, "backward": lambda x: [x]},
            r"op 'double': expected the first parameter of `backward` to be `grad_out`, got .*'x'",
        ),
        (
            {"vjps": {"x": times}, "backward": lambda grad_out, y: [y], "keeps": ("mask",)},
            r"the parameters of `backward` to be among \['grad_out', 'mask', 'out', 'overwrite', "
            r"'wanted', 'x', 'x_dtype', 'x_shape'\], got \['y'\]",
        ),
        (
            {"vjps": {"x": times}, "backward": times, "backward_flops": lambda x: 0},
            "op 'double': expected the first parameter of `backward_flops` to be `grad_out`",
        ),
        (
            {"flops": lambda x, grad_out, n: 0},
            r"op 'double': expected the parameters of `flops` to be among \['out', 'x'\], got "
            r"\['grad_out', 'n'\]",
        ),
        ({"flops": -1}, r"op 'double': expected `flops` to be an integer >= 0 .*, got -1\."),
        (
            {"flops": "2 n"},
            r"op 'double': expected `flops` to be an integer >= 0 \(operations per .* got '2 n'",
        ),
        ({"flops": 0.5}, r"expected `flops` to be .* for example lambda x: x.size, got 0.5"),
    ],
)
def test_invalid_op_definition_raises(options, message):
    with pytest.raises(GraphError, match=message):
        op("2 x", **options)(double)


def test_op_without_formula_raises():
    with pytest.raises(DtypeError, match=r"op: expected a formula .* got function\. Try @op\("):

        @op
        def bare(x):
            return x


# Errors when an op runs.


@each(
    ("vjp", "message"),
    [
        (lambda grad_out, x: ops.sum(grad_out), r"got \(\) float64"),
        (
            lambda grad_out, x: ops.transpose(grad_out),
            r"got \(3, 2\) float64",
        ),
        (lambda grad_out, x: grad_out.astype(np.float32), r"got \(2, 3\) float32"),
        (lambda grad_out, x: None, "got NoneType"),
        (lambda grad_out, x: 2.0, "got float"),
        (lambda grad_out, x: [grad_out], "got list"),
    ],
)
def test_invalid_vjp_result_raises(vjp, message):
    wrong = op("2 x", vjps={"x": vjp})(double)
    x = leaf(*normal(2, 3))
    with pytest.raises(
        GraphError,
        match=rf"'double': expected the gradient for input 0 to be of shape .*, {message}",
    ):
        wrong(x).sum().backward()
    assert x.grad is None


# Backward kernels.


VJPS = {"a": lambda grad_out, b: grad_out * b, "b": lambda grad_out, a: grad_out * a}


def product_with(backward):
    """Return a product op with VJPs and the given backward kernel."""

    @op("a b", vjps=VJPS, backward=backward)
    def product(a, b):
        return a * b

    return product


def pair():
    """Return two leaves with equal values."""
    return leaf(2.0, 3.0), leaf(2.0, 3.0)


def test_kernel_computes_wanted_gradients():
    calls = []

    def kernel(grad_out, a, b, wanted):
        calls.append(wanted)
        return [grad_out * b if wanted[0] else None, grad_out * a if wanted[1] else None]

    product = product_with(kernel)
    a, b = pair()
    product(a, b).sum().backward()
    assert calls == [(True, True)]
    assert a.grad.tolist() == b.grad.tolist() == [2.0, 3.0]
    # Only gradients on a path to a target are wanted.
    assert product(a, b).sum().gradient(b)[0].tolist() == [2.0, 3.0]
    assert calls.pop() == (False, True)
    with debug():
        product(a, b).sum().backward()
    assert calls.pop() == (True, True)
    with profile() as table:
        product(*pair()).sum().backward()
    assert calls.pop() == (True, True)
    assert {row.op: row.backward_calls for row in table.rows()} == {"product": 1, "sum": 1}


def test_kernel_with_one_wanted_input():
    calls = []

    def kernel(grad_out, wanted):
        calls.append(wanted)
        return [grad_out * 2 if is_wanted else None for is_wanted in wanted]

    vjp = times
    both = op("2 a + 2 b", vjps={"a": vjp, "b": vjp}, backward=kernel)(lambda a, b: 2 * a + 2 * b)
    a, b = pair()
    both(a, b.detach()).sum().backward()
    both(a.detach(), b).sum().backward()
    assert calls == [(True, False), (False, True)]
    assert a.grad.tolist() == b.grad.tolist() == [2.0, 2.0]


def test_kernel_is_skipped_if_it_needs_more_inputs_than_vjps():
    """The gradient of `a` needs only `b`, so with a frozen `b` the array `a` is not saved."""
    product = product_with(lambda grad_out, a, b: pytest.fail("was called"))
    a, b = pair()
    out = product(a, b.detach())
    assert out.node.plan.backward is None
    assert [saved.tolist() for saved in out.node.saved] == [[2.0, 3.0]]
    out.sum().backward()
    assert a.grad.tolist() == [2.0, 3.0]
    assert product(a, b).node.plan.backward is not None


def test_kernel_is_not_called_with_create_graph():
    product = product_with(lambda grad_out, a, b: pytest.fail("was called"))
    a, b = pair()
    (slope,) = product(a, b).sum().gradient(a, create_graph=True)
    assert slope.sum().gradient(b)[0].tolist() == [1.0, 1.0]
    product(a, b).sum().backward(create_graph=True)
    assert a.grad.tolist() == [2.0, 3.0]


def test_kernel_can_request_options_results_and_shapes():
    seen = []

    def kernel(grad_out, a, mask, cached, out, scale, a_shape, b_shape, b_dtype, wanted):
        seen.append((a.tolist(), mask, cached, out.tolist(), scale, a_shape, b_shape, b_dtype))
        return [grad_out * 1 if is_wanted else None for is_wanted in wanted]

    @op(
        "a + b",
        vjps={"a": lambda grad_out, a: grad_out, "b": lambda grad_out, a: grad_out},
        backward=kernel,
        keeps=("mask",),
        caches=("cached",),
    )
    def plus(a, b, *, scale=4):
        return a + b, "mask", "cached"

    a, b = pair()
    float64 = np.dtype(np.float64)
    expected = ([2.0, 3.0], "mask", "cached", [4.0, 6.0], 4, (2,))
    plus(a, b).sum().backward()
    assert seen.pop() == (*expected, (2,), float64)
    # The shape and dtype of a constant are not recorded.
    plus(a, b.detach()).sum().backward()
    assert seen.pop() == (*expected, None, None)


def test_kernel_returns_an_entry_for_omitted_input():
    def kernel(grad_out, x, weight, wanted):
        given = [grad_out * weight, grad_out * x, grad_out * 1]
        return [grad if is_wanted else None for grad, is_wanted in zip(given, wanted, strict=True)]

    @op(
        "x w + b",
        vjps={
            "x": lambda grad_out, weight: grad_out * weight,
            "weight": lambda grad_out, x: grad_out * x,
            "bias": lambda grad_out: grad_out,
        },
        backward=kernel,
    )
    def affine(x, weight, bias=None):
        return x * weight if bias is None else x * weight + bias

    for bias in ((), (leaf(1.0, 1.0),)):
        x, weight = pair()
        affine(x, weight, *bias).sum().backward()
        assert x.grad.tolist() == weight.grad.tolist() == [2.0, 3.0]
        assert [tensor.grad.tolist() for tensor in bias] == [[1.0, 1.0]] * len(bias)


def test_kernel_gradients_of_repeated_input_are_summed():
    product = product_with(lambda grad_out, a, b: [grad_out * b, grad_out * a])
    x = leaf(2.0, 3.0)
    y = x * 1
    (product(x, x) + product(y, y)).sum().backward()
    assert x.grad.tolist() == [8.0, 12.0]


@pytest.mark.parametrize("order", ["xxz", "xzx", "zxx"])
def test_kernel_can_return_one_array_for_several_inputs(order):
    """Summing the two gradients of x must not change the gradient of z."""

    @op(
        "2 (a + b + c)",
        vjps={name: lambda grad_out: grad_out * 2 for name in "abc"},
        backward=lambda grad_out: [grad_out * 2] * 3,
    )
    def twice(a, b, c):
        return 2 * (a + b + c)

    inputs = {"x": leaf(1.0, 2.0), "z": leaf(3.0, 4.0)}
    twice(*[inputs[name] for name in order]).sum().backward()
    assert inputs["x"].grad.tolist() == [4.0, 4.0]
    assert inputs["z"].grad.tolist() == [2.0, 2.0]


def test_kernel_gradients_are_summed_over_broadcast_axes():
    product = product_with(lambda grad_out, a, b: [grad_out * b, grad_out * a])
    a, b = leaf([1.0, 2.0], [3.0, 4.0]), leaf(5.0, 6.0)
    product(a, b).sum().backward()
    assert a.grad.tolist() == [[5.0, 6.0], [5.0, 6.0]]
    assert b.grad.tolist() == [4.0, 6.0]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (
            lambda grad_out, b: [grad_out * b],
            r"`backward` to return one gradient per input \(2\), got 1\.",
        ),
        (lambda grad_out: None, r"`backward` to return one gradient per input \(2\), got NoneType"),
        (lambda grad_out, b: [grad_out * b, None], "input 1 to be .* got NoneType"),
        (
            lambda grad_out, b: [grad_out[:1] * b[:1], b * 1],
            r"input 0 to be .* got \(1,\) float64",
        ),
        (
            lambda grad_out, b: [grad_out * b, b.astype(np.float32)],
            r"input 1 to be .* got \(2,\) float32",
        ),
    ],
)
def test_invalid_kernel_result_raises(kernel, message):
    a, b = pair()
    with pytest.raises(GraphError, match=f"op 'product': expected .*{message}") as caught:
        product_with(kernel)(a, b).sum().backward()
    assert caught.value.__notes__ == ["raised in the backward kernel of op 'product'"]
    assert a.grad is b.grad is None


def test_error_in_kernel_is_annotated():
    a, b = pair()
    with pytest.raises(ZeroDivisionError) as caught:
        product_with(lambda grad_out: 1 / 0)(a, b).sum().backward()
    assert caught.value.__notes__ == ["raised in the backward kernel of op 'product'"]


def one_array_twice(grad_out):
    """Return the same array for both inputs."""
    both = 2 * grad_out
    return [both, both]


@pytest.mark.parametrize(
    "kernel",
    [
        one_array_twice,
        lambda grad_out, b: [grad_out * b, grad_out],
        lambda grad_out, b: [grad_out * b, grad_out[:]],
        lambda grad_out, b: [grad_out * b, b],
        lambda grad_out, a: [grad_out * a, a[::1]],
        lambda grad_out, out: [grad_out * 1, out],
    ],
)
def test_kernel_gradient_that_shares_memory_is_copied(kernel):
    """The check applies to every call, whatever the previous call returned."""
    product = product_with(kernel)
    a, b = pair()
    product(a, b).sum().gradient(a)
    out, upstream = product(a, b), np.ones(2)
    arrays = [a.data, b.data, out.data, upstream]
    before = [array.tolist() for array in arrays]
    out.backward(upstream)
    arrays += [a.grad.data, b.grad.data]
    assert not any(np.may_share_memory(*two) for two in itertools.combinations(arrays, 2))
    older = a * 1 + b * 1
    (product(a, b) + older).backward(upstream)
    assert [array.tolist() for array in arrays[:4]] == before


def doubling(told):
    """Return an op with a kernel that overwrites `grad_out` if allowed."""

    def kernel(grad_out, overwrite):
        told.append(overwrite)
        return [np.multiply(grad_out, 2, out=grad_out if overwrite else None)]

    return op("2 x", vjps={"x": times}, backward=kernel)(double)


def test_kernel_can_overwrite_unshared_gradient():
    told = []
    twice = doubling(told)
    x = leaf([1.0])
    twice(twice(x)).sum().backward()
    # The backward pass does not own the gradient of sum, but it owns the next one.
    assert (told, x.grad.tolist()) == ([False, True], [4.0])
    told.clear()
    y = twice(x)
    y.register_hook(lambda grad: None)  # a hook may keep a reference to the gradient
    twice(y).sum().backward()
    assert told == [False, False]
    told.clear()
    y = twice(x)
    y.retain_grad()
    twice(y).sum().backward()
    assert (told, y.grad.tolist()) == ([False, False], [2.0])
    told.clear()
    y = twice(x)
    assert [g.tolist() for g in twice(y).sum().gradient(y, x)] == [[2.0], [4.0]]
    assert told == [False, False]


def test_kernel_can_overwrite_summed_gradient():
    told = []
    twice = doubling(told)
    twice(leaf([1.0])).sum().backward()
    x = leaf([1.0])
    y = twice(x)
    (y + y * 3).sum().backward()
    assert (told, x.grad.tolist()) == ([False, True], [8.0])


def test_debug_detects_inf_from_kernel_that_overwrites():
    def kernel(grad_out, x, overwrite):
        return [np.divide(grad_out, x, out=grad_out if overwrite else None)]

    vjps = {"x": lambda grad_out, x: grad_out / x}
    log = op("log x", vjps=vjps, backward=kernel)(lambda x: np.log(x))
    twice = doubling([])
    twice(log(leaf([1.0]))).sum().backward()
    x = leaf([1.0])
    y = twice(log(x))
    x.data[:] = 0.0
    message = "the backward kernel of op '<lambda>' for input 0"
    with debug(), pytest.raises(NotFiniteError, match=message):
        y.sum().backward()


# Broadcast gradients.


def test_gradients_are_summed_over_broadcast_axes():
    stretched = op("x + zeros", vjps={"x": lambda grad_out: grad_out})(
        lambda x: x + np.zeros((4, 2, 3))
    )
    x = leaf(*normal(2, 1))
    stretched(x).sum().backward()
    assert x.grad.tolist() == [[12.0], [12.0]]


def test_vjp_with_numpy_functions_is_differentiated_again():
    own_exp = op("exp(x)", vjps={"x": lambda grad_out, x: grad_out * np.exp(x)})(np_exp)
    x = leaf([1.0])
    (first,) = own_exp(x).sum().gradient(x, create_graph=True)
    (second,) = first.sum().gradient(x)
    assert first.item() == pytest.approx(np.e)
    assert second.item() == pytest.approx(np.e)


def test_create_graph_through_vjp_of_arrays_has_hint():
    own_exp = op("exp(x)", vjps={"x": lambda grad_out, x: grad_out * np.unwrap(np.exp(x))})(np_exp)
    x = leaf([1.0])
    own_exp(x).sum().backward()
    assert x.grad.item() == pytest.approx(np.e)
    with pytest.raises(TypeError) as caught:
        own_exp(x).sum().gradient(x, create_graph=True)
    assert caught.value.__notes__ == [
        "raised in the VJP for input 0 of op 'np_exp'. With create_graph=True, a VJP must use "
        "functions that accept Tensors."
    ]


def np_exp(x):
    """A forward function."""
    return np.exp(x)


def test_gradient_for_input_without_vjp_raises():
    scaled = op("x y", vjps={"x": lambda grad_out, y: grad_out * y})(lambda x, y: x * y)
    assert scaled(leaf([2.0]), Tensor(np.array([3.0]))).tolist() == [6.0]
    message = (
        r"defines no gradient for input 'y', but the tensor passed for it requires one\. "
        r"Pass tensor\.detach\(\)"
    )
    with pytest.raises(GraphError, match=message):
        scaled(leaf([2.0]), leaf([3.0]))


# Calling an op.


@op(
    "(a b + c) power / scale",
    vjps={"a": lambda grad_out, b, power, scale: grad_out * b * (power / scale)},
)
def mixed(a, b, c=None, *, power=2, scale):
    """An op with every kind of parameter."""
    total = a * b if c is None else a * b + c
    return total * (power / scale)


def test_options_can_be_positional_and_inputs_named():
    expected = (2 * 3 + 1) * (4 / 8)
    for args, options in (
        ((2.0, 3.0, 1.0, 4, 8), {}),
        ((2.0, 3.0, 1.0, 4), {"scale": 8}),
        ((2.0, 3.0, 1.0), {"scale": 8, "power": 4}),
        ((2.0, 3.0), {"c": 1.0, "power": 4, "scale": 8}),
        ((2.0,), {"c": 1.0, "b": 3.0, "power": 4, "scale": 8}),
        ((), {"scale": 8, "c": 1.0, "b": 3.0, "a": 2.0, "power": 4}),
    ):
        x = leaf([2.0])
        tensors = [x if value == 2.0 else value for value in args]
        named = {name: x if value == 2.0 else value for name, value in options.items()}
        out = mixed(*tensors, **named)
        out.sum().backward()
        assert (out.tolist(), x.grad.tolist()) == ([expected], [3 * 4 / 8])
        assert out.node.options == {"power": 4, "scale": 8}
        arrays = [np.array(value) if value == 2.0 else value for value in args]
        named = {n: np.array(v) if v == 2.0 else v for n, v in options.items()}
        assert mixed(*arrays, **named).tolist() == expected


def test_omitted_arguments_have_defaults():
    assert mixed(leaf([2.0]), 3.0, scale=1).tolist() == [12.0]
    inputs, options = mixed.bind((2.0,), {"scale": 1, "b": 3.0})
    assert (inputs, options) == ((2.0, 3.0, None), {"power": 2, "scale": 1})


@pytest.mark.parametrize(
    ("args", "given"),
    [
        pytest.param((1.0, 2.0), {"scale": 1, "steps": 1}, id="unknown"),
        pytest.param((1.0, 2.0), {}, id="option missing"),
        pytest.param((1.0,), {"scale": 1}, id="input missing"),
        pytest.param((1.0,), {"c": 1.0, "scale": 1}, id="earlier input missing"),
        pytest.param((), {"b": 1.0, "scale": 1}, id="first input missing"),
        pytest.param((1.0, 2.0, None, 2, 1, 0), {}, id="too many"),
        pytest.param((1.0, 2.0), {"a": 1.0, "scale": 1}, id="input twice"),
        pytest.param((1.0, 2.0, None, 2), {"power": 2, "scale": 1}, id="option twice"),
    ],
)
@pytest.mark.parametrize("kind", [leaf, np.array])
def test_invalid_call_raises(args, given, kind):
    arguments = [kind(value) if value == 1.0 else value for value in args]
    message = (
        "mixed: expected the inputs ['a', 'b', 'c'] and the options ['power', 'scale'], got "
        f"{len(args)} positional arguments and the keywords {list(given)}."
    )
    with pytest.raises(DtypeError, match=re.escape(message)):
        mixed(*arguments, **given)
    if arguments and kind is leaf:
        with pytest.raises(DtypeError, match=re.escape(message)):
            method(mixed)(*arguments, **given)


def test_wrong_number_of_inputs_raises():
    for args in ((leaf([1.0]), leaf([1.0])), (np.ones(1), 2.0), ()):
        message = rf"soft_relu: expected the inputs \['x'\] and .* got {len(args)} positional"
        with pytest.raises(DtypeError, match=message):
            soft_relu(*args)


def test_variadic_op_takes_options_by_name():
    @op("sum of xs^power", vjps={"xs": lambda grad_out, xs, position: grad_out})
    def powers(*xs, power=1):
        return np.sum([x**power for x in xs], axis=0)

    assert powers(leaf([1.0]), leaf([2.0]), leaf([3.0])).tolist() == [6.0]
    assert powers(leaf([1.0]), leaf([2.0]), power=2).tolist() == [5.0]
    with pytest.raises(
        DtypeError, match=r"powers: expected .*, got 1 positional .* keywords \['xs'\]"
    ):
        powers(leaf([1.0]), xs=leaf([2.0]))


def test_numpy_errors_name_op_and_arguments():
    with pytest.raises(
        ShapeError, match=r"attended: expected shapes that broadcast .*, got \(2,\) float64, \(3,\)"
    ):
        attended(leaf(1.0, 2.0), leaf(1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ValueError("the table cannot be broadcast. See docs..."),
            "the table cannot be .*docs\\.\\.",
        ),
        (ValueError(), "ValueError"),
        (IndexError("row 7 "), "row 7"),
    ],
)
def test_errors_keep_the_reason_that_an_op_gives(error, words):
    @op("x", vjps={"x": lambda grad_out: grad_out})
    def failing(x):
        raise error

    with pytest.raises(TinygradNpError, match=rf"^failing: {words}\. Got \(2,\) float64\.$"):
        failing(leaf(1.0, 2.0))


# Results of a forward function.


@pytest.mark.parametrize(
    ("returns", "got"), [(lambda x: (x,), "tuple of length 1"), (lambda x: x, "ndarray")]
)
def test_missing_extra_results_raise(returns, got):
    """Otherwise the output could be mistaken for the mask, or its first entry for the output."""

    @op("x mask", vjps={"x": lambda grad_out, mask: grad_out * mask}, keeps=("mask",))
    def masked(x):
        return returns(x * 2)

    message = rf"masked: expected the forward function to return the tuple \(out, mask\), got {got}"
    for x in (leaf(1.0, 2.0), np.ones(2)):
        with pytest.raises(GraphError, match=message):
            masked(x)


# Errors in gradient functions.


def test_error_in_vjp_is_annotated():
    @op("x", vjps={"x": lambda grad_out: 1 / 0})
    def failing(x):
        return x * 1

    with pytest.raises(ZeroDivisionError) as caught:
        failing(leaf(1.0)).backward()
    assert caught.value.__notes__ == ["raised in the VJP for input 0 of op 'failing'"]


@pytest.mark.parametrize("create_graph", [False, True])
def test_error_in_gradient_sum_is_not_annotated(create_graph):
    x = leaf(1e-30, dtype=np.float32)
    y = (x * 3e38 + x * 2e38).sum()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError) as caught:
        y.backward(create_graph=create_graph)
    assert not hasattr(caught.value, "__notes__")


# Memory that must not be shared, and names that must not collide.


@pytest.mark.parametrize(
    ("result", "message"),
    [(None, "got NoneType"), ((1.0, 2.0), "got tuple"), ("text", "got str")],
)
def test_invalid_forward_result_raises(result, message):
    @op("nothing")
    def wrong(x):
        return result

    with pytest.raises(
        GraphError, match=f"wrong: expected the forward function to return an array, {message}"
    ):
        wrong(leaf(1.0))


def test_definition_can_return_its_input():
    @op("x", definition=lambda x: x, differentiable=("x",))
    def ident(x):
        return x.copy()

    x = leaf([1.0])
    ident(x).sum().backward()
    assert x.grad.tolist() == [1.0]
    y = leaf([1.0])
    middle = y * 1
    middle.register_hook(lambda grad: grad * 10)
    ident(middle).sum().backward()
    assert y.grad.tolist() == [10.0]


@pytest.mark.parametrize("watch", [debug, profile])
def test_errors_keep_names_under_observers(watch):
    with (
        watch(),
        pytest.raises(
            ShapeError, match=r"add: expected shapes that .* got \(2, 3\) float32, \(4,\)"
        ),
    ):
        Tensor.ones(2, 3) + Tensor.ones(4)
    with watch(), pytest.raises(AxisError, match="sum: axis 5 is out of bounds"):
        Tensor.ones(2).sum(axis=5)


def test_forward_that_returns_its_input_raises():
    @op("x", vjps={"x": lambda grad_out: grad_out})
    def same(x):
        return x

    shares = "the forward function returned an array that shares memory with an input"
    with pytest.raises(GraphError, match=f"same: {shares}"):
        same(leaf([1.0]) * 1)

    @op("x", vjps={"x": lambda grad_out, kept: grad_out * kept}, keeps=("kept",))
    def keeping(x):
        return x * x, x

    with pytest.raises(GraphError, match=f"keeping: {shares}"):
        keeping(leaf([1.0]))


def test_positional_option_raises():
    message = r"to default to None, got slope=0.1\. .* leaky\(x, \*, slope=0.1\)"
    with pytest.raises(GraphError, match=message):

        @op("leaky")
        def leaky(x, slope=0.1):
            return x * slope


def test_reserved_names_raise():
    """For example, the index of an input would overwrite an option named `position`."""
    for forward in (lambda x, *, position: x, lambda out: out, lambda x, *, wanted: x):
        with pytest.raises(GraphError, match="the engine reserves the names"):
            op("x", vjps={})(forward)


def test_kernel_cannot_request_shape_of_variadic_inputs():
    with pytest.raises(GraphError, match=r"parameters of `backward` .* got \['xs_shape'\]"):
        op(
            "x",
            vjps={"xs": lambda grad_out: grad_out},
            backward=lambda grad_out, xs_shape: [grad_out],
        )(lambda *xs: xs[0])

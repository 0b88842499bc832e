"""A user's own ops: what their author may write, and what everything else makes of them."""

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
)
from tinygrad_np.transforms import grad, hessian

# The op, a call of it on tensors, and arrays to call it on, away from kinks.
OWN = {
    "soft_relu": (soft_relu, soft_relu, [normal(2, 3)]),
    "leaky_clip": (leaky_clip, lambda x: leaky_clip(x, limit=0.5), [normal(2, 3)]),
    "attended": (attended, attended, [normal(2, 3), normal(2, 3, seed=1)]),
    "attended, broadcast": (attended, attended, [normal(4, 2, 3), normal(3, seed=1)]),
}
each_op = pytest.mark.parametrize(("own", "call", "arrays"), OWN.values(), ids=OWN)


# What an op of one's own has without doing anything for it.


@each_op
@each("full", [False, True])
def test_its_gradients_are_those_of_central_differences(own, call, arrays, full):
    gradcheck(call, arrays, full=full)
    gradgradcheck(call, arrays, full=full)


def test_a_vjp_may_name_an_input_that_was_left_out():
    """It is what the forward has by default."""

    @op("x, or x y", vjps={"x": lambda grad_out, y: grad_out if y is None else grad_out * y})
    def maybe_scaled(x, y=None):
        return x.copy() if y is None else x * y

    x = leaf(2.0, 3.0)
    assert maybe_scaled(x).sum().gradient(x)[0].tolist() == [1.0, 1.0]
    assert maybe_scaled(x, Tensor(5.0)).sum().gradient(x)[0].tolist() == [5.0, 5.0]


@each_op
def test_arrays_give_arrays_and_tensors_tensors(own, call, arrays):
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
def test_a_frozen_input_costs_no_vjp(own, call, arrays):
    for wanted in range(len(arrays)):
        tensors = [Tensor(array) for array in arrays]
        tensors[wanted].requires_grad = True
        with profile() as table:
            call(*tensors).sum().backward()
        (row,) = (row for row in table.rows() if row.op == own.name)
        assert (row.calls, row.backward_calls) == (1, 1)


def test_only_what_a_vjp_names_is_saved():
    x = leaf(0.5, 2.0)
    assert [saved.tolist() for saved in soft_relu(x).node.saved] == [[0.5, 2.0]]
    assert [saved.tolist() for saved in leaky_clip(x).node.saved] == [[True, False]]


@each_op
def test_it_is_named_in_debug_with_the_line_of_its_call(own, call, arrays):
    arrays = [array.copy() for array in arrays]
    arrays[0][..., 0] = np.nan
    line = r": own\(\*tensors\)  # the call$"
    tensors = [leaf(*array) for array in arrays]
    message = rf"op '{own.name}' gave nan, .* with nan in it.*; at {re.escape(__file__)}:\d+, in .*"
    with debug(), pytest.raises(NotFiniteError, match=message + line):
        own(*tensors)  # the call


def test_its_vjp_is_named_in_debug_with_the_line_of_the_forward():
    with debug():
        out = soft_relu(leaf(1.0, 2.0)).sum()  # forward
        with pytest.raises(NotFiniteError, match=r"VJP of op 'sum' .*"):
            out.backward(np.array(np.nan))
        y = leaky_clip(leaf(1.0, 3.0), slope=1e200)  # forward
        message = r"VJP of op 'leaky_clip' for input 0 \(x\) gave inf, 1 of 2 .* y = .* # forward"
        with pytest.raises(NotFiniteError, match=message):
            y.backward(np.array([1.0, 1e200]))


@each_op
def test_it_has_a_row_in_the_profile(own, call, arrays):
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
    assert (row.module, row.calls, row.backward_calls) == ("layer", 1, len(arrays))
    assert row.nbytes == out.data.nbytes
    assert re.search(rf"^{own.name} +layer ", str(table), re.MULTILINE)


def test_its_flops_are_those_that_it_says_or_one_an_entry():
    x = Tensor(normal(4, 2, 3))
    with profile() as table:
        attended(x, Tensor(normal(3)))
        leaky_clip(x)
        with no_grad():
            soft_relu(x.data)
    flops = {row.op: row.flops for row in table.rows()}
    assert flops == {"attended": 5 * 24 + 2 * 24, "leaky_clip": 24, "soft_relu": 24}


def test_it_is_drawn_with_its_options():
    y = leaky_clip(soft_relu(leaf(1.0, 2.0)), slope=0.25)
    source = viz.draw(attended(y, y)).source
    for text in ("<b>soft_relu</b>", "<b>leaky_clip</b>", "slope=0.25", "<b>attended</b>"):
        assert text in source


def test_its_second_and_third_derivatives_are_those_of_the_formula():
    x = np.linspace(-2, 2, 5)
    s = 1 / (1 + np.exp(-x))
    second = hessian(lambda x: soft_relu(x).sum())(x)
    np.testing.assert_allclose(second.data, np.diag(s * (1 - s)), atol=1e-15)
    third = grad(grad(grad(soft_relu)))(np.array(0.7))
    s = 1 / (1 + np.exp(-0.7))
    assert third.item() == pytest.approx(s * (1 - s) * (1 - 2 * s))


def test_a_fused_op_is_its_definition_to_the_second_order():
    found, expected = [], []
    for function, numbers in ((attended, found), (attended.definition, expected)):
        scores, values = leaf(*normal(4, 3)), leaf(*normal(4, 3, seed=1))
        out = function(scores, values)
        first = (out * out).sum().gradient(scores, values, create_graph=True)
        second = sum((slope**3).sum() for slope in first).gradient(scores, values)
        numbers += [out, *first, *second]
    for ours, definition in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.data, definition.data, rtol=1e-10, atol=1e-12)


def test_a_network_of_ones_own_ops_trains():
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


def test_it_prints_its_formula_and_is_not_in_the_packages_vocabulary():
    assert repr(soft_relu) == "<op soft_relu: log(1 + exp(x))>"
    assert soft_relu.__doc__ == "A smooth relu."
    assert not {"soft_relu", "leaky_clip", "attended"} & set(ops.table)
    assert Path(ops_of_a_user.__file__).parent.name == "outside"


def test_integers_become_floats_where_the_record_says_so():
    assert soft_relu(Tensor([0, 1])).dtype == np.float32


# Ops that are differentiated through their definition.


@op("x^2 y", vjps={"x": None, "y": None}, definition=lambda x, y: ops.mul(ops.mul(x, x), y))
def only_defined(x, y):
    """A forward of its own, and no VJP."""
    return x * x * y


def test_an_op_without_a_vjp_is_differentiated_through_its_definition_to_any_order():
    x, y = normal(2, 3), normal(3, seed=1)
    gradcheck(only_defined, [x, y])
    gradgradcheck(only_defined, [x, y])
    triple = grad(grad(grad(lambda x: only_defined(x, x))))
    assert triple(np.array(2.0)).item() == pytest.approx(6.0)


def test_its_graph_is_freed_and_its_leaves_are_nobody_elses_memory():
    x, y = leaf(2.0, 3.0), leaf(1.0, 1.0)
    out = only_defined(x, y).sum()
    out.backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([4.0, 6.0], [4.0, 9.0])
    assert not np.shares_memory(x.grad.data, y.grad.data)
    with pytest.raises(GraphError, match="was freed"):
        out.backward()


def test_constants_and_results_among_its_inputs():
    x = leaf(2.0, 3.0)
    for first, second, expected in (
        (np.array([5.0, 5.0]), x, [25.0, 25.0]),
        (x, 2.0, [8.0, 12.0]),
        (x * 1, x * 1, [12.0, 27.0]),
        (x, x, [12.0, 27.0]),
    ):
        (slope,) = only_defined(first, second).gradient(x, gradient=np.ones(2))
        assert slope.tolist() == expected


def test_any_number_of_inputs_and_options_reach_the_definition():
    def definition(*xs, power):
        total = xs[0] ** power
        for x in xs[1:]:
            total = total + x**power
        return total

    @op("sum of xs^power", vjps={"xs": None}, definition=definition)
    def powers(*xs, power=2):
        return np.sum([x**power for x in xs], axis=0)

    x, y, z = normal(3, 2, 2)
    gradcheck(lambda *xs: powers(*xs, power=3), [x, y, z])
    gradgradcheck(lambda *xs: powers(*xs), [x, y, z])


def test_an_input_that_the_definition_does_not_use_gets_no_gradient():
    @op("2 x", vjps={"x": None, "y": None}, definition=lambda x, y: ops.mul(x, 2))
    def first(x, y):
        return x * 2

    x, y = leaf([1.0]), leaf([1.0])
    first(x, y).sum().backward()
    assert x.grad.tolist() == [2.0]
    assert y.grad is None


def test_a_changed_input_is_noticed():
    x, y = leaf([2.0]), leaf([3.0])
    out = only_defined(x, y)
    with no_grad():
        y[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'only_defined' .* was changed in place"):
        out.sum().backward()


def test_a_definition_that_fails_under_debug_names_a_line():
    @op("log x", vjps={"x": None}, definition=lambda x: ops.log(x))  # the definition
    def own_log(x):
        return np.log(x + 1e-300)

    with debug():
        out = own_log(leaf([0.0])).sum()
        with pytest.raises(NotFiniteError, match=r"op 'log' gave inf.*# the definition"):
            out.backward()


def test_an_input_without_a_vjp_of_its_own_gets_its_gradient_beside_one_that_has():
    @op(
        "x y",
        vjps={"x": lambda grad_out, y: grad_out * y, "y": None},
        definition=lambda x, y: ops.mul(x, y),
    )
    def product(x, y):
        return x * y

    x, y = leaf(2.0, 3.0), leaf(5.0, 7.0)
    product(x, y).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    assert y.grad.tolist() == [2.0, 3.0]


# What is refused when an op is defined.


def double(x):
    """Stand for a forward."""
    return x * 2


def times(grad_out):
    """Stand for a VJP."""
    return grad_out * 2


@each(
    ("options", "message"),
    [
        ({"vjps": {"y": times}}, r"op 'double': VJPs for {'y'}, inputs are \['x'\]"),
        ({"vjps": {"x": lambda g: g}}, "the VJP for 'x' must take grad_out first"),
        ({"vjps": {"x": lambda x, grad_out: x}}, "the VJP for 'x' must take grad_out first"),
        ({"vjps": {"x": lambda: 0}}, "the VJP for 'x' must take grad_out first"),
        (
            {"vjps": {"x": lambda grad_out, y: y}},
            r"the VJP for 'x' names \['y'\]; it can have \['out', 'position', 'reuse', 'x', "
            r"'x_dtype', 'x_shape'\]",
        ),
        (
            {"vjps": {"x": lambda grad_out, mask: mask}, "caches": ("mask",)},
            "the VJP for 'x' reads the cache {'mask'}, which has no graph: give a definition=",
        ),
        ({"vjps": {"x": None}}, "the VJP for 'x' is None, which asks for a definition="),
        (
            {"vjps": {"x": lambda grad_out, reuse, x: x}},
            "op 'double': the VJP for 'x' has reuse, which must come last",
        ),
        ({"joint": lambda x: [x]}, "op 'double': the joint VJP must take grad_out first"),
        (
            {"joint": lambda grad_out, y: [y]},
            r"the joint VJP names \['y'\]; it can have \['out', 'wanted', 'x'\]",
        ),
        (
            {"flops": lambda x, grad_out, n: 0},
            r"op 'double': flops names \['grad_out', 'n'\]; it can have \['out', 'x'\]",
        ),
        ({"flops": -1}, "op 'double': flops=-1, expected the number of operations an entry of"),
        ({"flops": "2 n"}, "op 'double': flops='2 n', expected the number of operations an entry"),
        ({"flops": 0.5}, r"flops=0.5, expected .* as flops=lambda x: x.size"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused_at_once(options, message):
    with pytest.raises(GraphError, match=message):
        op("2 x", **options)(double)


def test_an_op_without_a_formula_is_refused():
    with pytest.raises(DtypeError, match="op: got no formula; it goes first, as in"):

        @op
        def bare(x):
            return x


# What is refused when it runs.


@each(
    ("vjp", "message"),
    [
        (lambda grad_out, x: ops.sum(grad_out), r"returned shape \(\), expected \(2, 3\)"),
        (
            lambda grad_out, x: ops.transpose(grad_out),
            r"returned shape \(3, 2\), expected \(2, 3\)",
        ),
        (lambda grad_out, x: grad_out.astype(np.float32), "returned dtype float32, expected"),
        (lambda grad_out, x: None, "returned a NoneType, expected an array"),
        (lambda grad_out, x: 2.0, "returned a float, expected an array"),
        (lambda grad_out, x: [grad_out], "returned a list, expected an array"),
    ],
)
def test_a_vjp_that_returns_something_else_is_refused(vjp, message):
    wrong = op("2 x", vjps={"x": vjp})(double)
    x = leaf(*normal(2, 3))
    with pytest.raises(GraphError, match=f"the VJP of op 'double' for input 0 {message}"):
        wrong(x).sum().backward()
    assert x.grad is None


def joint_product(joint):
    """Return a op of one's own with the VJPs of a product, and this joint one."""

    @op(
        "a b",
        vjps={"a": lambda grad_out, b: grad_out * b, "b": lambda grad_out, a: grad_out * a},
        joint=joint,
    )
    def product(a, b):
        return a * b

    return product


def test_a_joint_vjp_is_called_where_several_gradients_of_first_order_are_wanted():
    calls = []

    def joint(grad_out, a, b, wanted):
        calls.append(wanted)
        return [grad_out * b, grad_out * a]

    product = joint_product(joint)
    a, b = (Tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    product(a, b).sum().backward()
    assert calls == [(True, True)]
    assert a.grad.tolist() == b.grad.tolist() == [2.0, 3.0]
    # One alone, a target, a second order and an observer have the VJPs themselves.
    product(a, b.detach()).sum().backward()
    product(a, b).sum().gradient(a)
    (slope,) = product(a, b).sum().gradient(a, create_graph=True)
    assert slope.sum().gradient(b)[0].tolist() == [1.0, 1.0]
    with debug():
        product(a, b).sum().backward()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (lambda grad_out, b: [grad_out * b], "returned 1 gradients, expected 2: one for each"),
        (
            lambda grad_out, b: [grad_out * b, None],
            "the VJP of op 'product' for input 1 returned a NoneType, expected an array",
        ),
        (
            lambda grad_out, b: [grad_out[:1] * b[:1], b],
            r"the VJP of op 'product' for input 0 returned shape \(1,\), expected \(2,\)",
        ),
    ],
)
def test_a_joint_vjp_that_returns_something_else_is_refused(joint, message):
    a, b = (Tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    with pytest.raises(GraphError, match=message):
        joint_product(joint)(a, b).sum().backward()


def test_a_joint_vjp_that_returns_one_array_twice_gives_each_leaf_its_own():
    def joint(grad_out, wanted):
        both = 2 * grad_out
        return [both, both]

    both = op(
        "2 a + 2 b",
        vjps={"a": lambda grad_out: grad_out * 2, "b": lambda grad_out: grad_out * 2},
        joint=joint,
    )(lambda a, b: 2 * a + 2 * b)
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    both(a, b).sum().backward()
    assert a.grad.tolist() == b.grad.tolist() == [2.0]
    assert not np.shares_memory(a.grad.data, b.grad.data)


def test_debug_sees_an_inf_that_a_vjp_would_write_over_its_gradient():
    def half(grad_out, x, reuse):
        return np.divide(grad_out, x, out=grad_out if reuse else None)

    log = op("log x", vjps={"x": half}, fresh=True)(lambda x: np.log(x))
    twice = op("2 x", vjps={"x": lambda grad_out: grad_out * 2}, fresh=True)(double)
    x = Tensor([1.0], requires_grad=True)
    y = twice(log(x))
    x.data[:] = 0.0
    with debug(), pytest.raises(NotFiniteError, match="the VJP of op '<lambda>' for input 0"):
        y.sum().backward()


def test_a_vjp_may_write_over_a_gradient_that_nobody_else_holds():
    told = []

    def over(grad_out, reuse):
        told.append(reuse)
        return np.multiply(grad_out, 2, out=grad_out if reuse else None)

    twice = op("2 x", vjps={"x": over}, fresh=True)(double)
    x = Tensor([1.0], requires_grad=True)
    y = twice(x)
    twice(y).sum().backward()
    # First the gradient of sum, which is not known to be fresh, then its own.
    assert (told, x.grad.tolist()) == ([False, True], [4.0])
    told.clear()
    y = twice(x)
    y.register_hook(lambda grad: None)  # which may keep what it is shown
    twice(y).sum().backward()
    assert told == [False, False]


def test_a_gradient_that_broadcasting_explains_is_summed():
    """A VJP need not undo broadcasting: the engine does."""
    stretched = op("x + zeros", vjps={"x": lambda grad_out: grad_out})(
        lambda x: x + np.zeros((4, 2, 3))
    )
    x = leaf(*normal(2, 1))
    stretched(x).sum().backward()
    assert x.grad.tolist() == [[12.0], [12.0]]


def test_a_vjp_in_np_functions_says_what_the_second_derivative_wants():
    own_exp = op("exp(x)", vjps={"x": lambda grad_out, x: grad_out * np.exp(x)})(np_exp)
    x = leaf([1.0])
    own_exp(x).sum().backward()
    assert x.grad.item() == pytest.approx(np.e)
    with pytest.raises(TypeError) as caught:
        own_exp(x).sum().gradient(x, create_graph=True)
    assert caught.value.__notes__ == [
        "in the VJP of op 'np_exp' for input 0; to be differentiated itself it must be written in "
        "ops, not in np functions"
    ]


def np_exp(x):
    """Stand for a forward."""
    return np.exp(x)


def test_an_input_without_a_vjp_that_requires_a_gradient_is_refused():
    scaled = op("x y", vjps={"x": lambda grad_out, y: grad_out * y})(lambda x, y: x * y)
    assert scaled(leaf([2.0]), Tensor(np.array([3.0]))).tolist() == [6.0]
    message = "there is no gradient for input 'y', but the tensor given requires one; pass"
    with pytest.raises(GraphError, match=message):
        scaled(leaf([2.0]), leaf([3.0]))


def test_unknown_and_missing_options_are_named():
    with pytest.raises(DtypeError, match=r"leaky_clip: unknown \['steps'\]; its options are"):
        leaky_clip(leaf([1.0]), steps=1)
    needs = op("x y", vjps={"x": lambda grad_out, y: grad_out * y})(needs_y)
    with pytest.raises(DtypeError, match=r"needs_y: missing \['y'\]; its options are \['y'\]"):
        needs(leaf([1.0]))


def needs_y(x, *, y):
    """Stand for a forward with an option that has no default."""
    return x * y


def test_errors_of_numpy_name_the_op_and_what_it_got():
    with pytest.raises(
        ShapeError, match=r"attended: got \(2,\) float64, \(3,\) float64; .*broadcast"
    ):
        attended(leaf(1.0, 2.0), leaf(1.0, 2.0, 3.0))


# What a forward returns.


@pytest.mark.parametrize(
    ("returns", "got"), [(lambda x: (x,), "a tuple of 1"), (lambda x: x, "a ndarray")]
)
def test_a_forward_that_does_not_return_what_it_keeps_is_refused(returns, got):
    """Else the output would be taken for the mask, or its first entry for the output."""

    @op("x mask", vjps={"x": lambda grad_out, mask: grad_out * mask}, keeps=("mask",))
    def masked(x):
        return returns(x * 2)

    message = rf"masked: the forward returned {got}, expected the tuple \(out, mask\)"
    for x in (leaf(1.0, 2.0), np.ones(2)):
        with pytest.raises(GraphError, match=message):
            masked(x)


# Records.


def test_a_vjp_of_another_dtype_is_refused():
    @op("x", vjps={"x": lambda grad_out: grad_out.astype(np.float64)})
    def leaky(x):
        return x * 1

    x = leaf(1.0, dtype=np.float32)
    with pytest.raises(GraphError, match=r"'leaky' .* dtype float64, expected float32"):
        leaky(x).backward()


def test_a_vjp_of_another_shape_is_refused():
    @op("x", vjps={"x": lambda grad_out: grad_out[:1]})
    def short(x):
        return x * 1

    with pytest.raises(GraphError, match=r"'short' .* shape \(1,\), expected \(2,\)"):
        short(leaf(1.0, 2.0)).backward(np.ones(2))


def test_a_vjp_that_is_no_array_is_refused():
    @op("x", vjps={"x": lambda grad_out: None})
    def nothing(x):
        return x * 1

    with pytest.raises(GraphError, match="returned a NoneType"):
        nothing(leaf(1.0)).backward()


def test_a_vjp_that_fails_is_named():
    @op("x", vjps={"x": lambda grad_out: 1 / 0})
    def failing(x):
        return x * 1

    with pytest.raises(ZeroDivisionError) as caught:
        failing(leaf(1.0)).backward()
    assert caught.value.__notes__ == ["in the VJP of op 'failing' for input 0"]


def test_a_vjp_in_numpy_functions_is_told_to_be_in_ops():
    @op("sin x", vjps={"x": lambda grad_out, x: grad_out * np.cos(x)})
    def sine(x):
        return np.sin(x)

    x = leaf(1.0)
    sine(x).backward()
    with pytest.raises(TypeError) as caught:
        sine(x).gradient(x, create_graph=True)
    assert "must be written in ops, not in np functions" in caught.value.__notes__[0]


def test_an_input_without_a_vjp_is_named():
    @op("a b", vjps={"a": lambda grad_out, b: grad_out * b})
    def half(a, b):
        return a * b

    half(leaf(1.0), Tensor(np.array(2.0)))
    with pytest.raises(GraphError, match="half: there is no gradient for input 'b'"):
        half(leaf(1.0), leaf(2.0))


@pytest.mark.parametrize(
    ("vjps", "options", "message"),
    [
        ({"z": lambda grad_out: grad_out}, {}, "inputs are"),
        ({"x": lambda grad: grad}, {}, "must take grad_out first"),
        ({"x": lambda grad_out, y: grad_out}, {}, r"names \['y'\]"),
        ({"x": lambda grad_out, c: grad_out}, {"caches": ("c",)}, "give a definition="),
    ],
)
def test_a_record_that_does_not_fit_is_refused(vjps, options, message):
    with pytest.raises(GraphError, match=message):

        @op("x", vjps=vjps, **options)
        def wrong(x):
            return x


def test_unknown_options_are_refused():
    with pytest.raises(DtypeError, match=r"reshape: unknown \['dim'\]; its options are"):
        ops.table["reshape"](Tensor.ones(2), shape=(2,), dim=0)
    with pytest.raises(DtypeError, match=r"reshape: missing \['shape'\]"):
        ops.table["reshape"](Tensor.ones(2))


# What must not be lost, mixed up or written over.


@pytest.mark.parametrize(
    ("result", "message"),
    [(None, "returned a NoneType"), ((1.0, 2.0), "returned a tuple"), ("text", "returned a str")],
)
def test_a_forward_must_return_an_array(result, message):
    @op("nothing")
    def wrong(x):
        return result

    with pytest.raises(GraphError, match=f"wrong: the forward {message}"):
        wrong(leaf(1.0))


def test_op_asks_for_its_formula():
    with pytest.raises(DtypeError, match="op: got no formula"):
        op(lambda x: x)


def test_a_definition_may_hand_back_its_input():
    @op("x", vjps={"x": None}, definition=lambda x: x)
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


def test_a_definition_of_another_shape_is_refused():
    @op("x", vjps={"x": None}, definition=lambda x: x.sum())
    def wrong(x):
        return x.copy()

    with pytest.raises(GraphError, match=r"definition of op 'wrong' returned \(\) float64"):
        wrong(leaf(1.0, 2.0)).sum().backward()


@pytest.mark.parametrize("watch", [debug, profile])
def test_errors_keep_their_names_while_watched(watch):
    with watch(), pytest.raises(ShapeError, match=r"add: got \(2, 3\) float32, \(4,\)"):
        Tensor.ones(2, 3) + Tensor.ones(4)
    with watch(), pytest.raises(AxisError, match="sum: got"):
        Tensor.ones(2).sum(axis=5)


def test_an_op_that_hands_back_its_input_is_refused():
    @op("x", vjps={"x": lambda grad_out: grad_out})
    def same(x):
        return x

    with pytest.raises(GraphError, match="same: the forward returned an output that shares memory"):
        same(leaf([1.0]) * 1)

    @op("x", vjps={"x": lambda grad_out, kept: grad_out * kept}, keeps=("kept",))
    def keeping(x):
        return x * x, x

    with pytest.raises(GraphError, match="keeping: the forward returned a kept array"):
        keeping(leaf([1.0]))


def test_options_of_an_op_stand_behind_a_star():
    with pytest.raises(GraphError, match=r"slope=0.1 is positional.*leaky\(x, \*, slope=0.1\)"):

        @op("leaky")
        def leaky(x, slope=0.1):
            return x * slope

"""Options and gradients are described as code."""

import re

import numpy as np

from tests.tools import each, normal
from tinygrad_np import Tensor, nn, op, ops
from tinygrad_np.viz.formulas import (
    _BROADCASTING,
    _RULES,
    describe_options,
    describe_sum,
    describe_vjps,
    vjp_sources,
)


def text_of(tensor):
    """Return the described options of the op that made a tensor."""
    return describe_options(tensor.node.op, tensor.node.options)


def images(*shape):
    return Tensor(normal(*shape), requires_grad=True)


@each(
    ("make", "expected"),
    [
        (lambda x: x[..., 32:48], "[..., 32:48]"),
        (lambda x: x[0], "[0]"),
        (lambda x: x[:, None, ::2], "[:, None, ::2]"),
        (lambda x: x[-3:, 1:], "[-3:, 1:]"),
        (lambda x: x[(slice(None),)], "[:,]"),
        (lambda x: x[[1, 2, 3]], "[int64[3]]"),
        (lambda x: x[:, np.array([1, 2])], "[:, int64[2]]"),
        (lambda x: x.sum(), ""),
        (lambda x: x.sum(axis=1, keepdim=True), "axis=1, keepdim=True"),
        (lambda x: x.reshape(2, -1), "shape=(2, -1)"),
        (lambda x: x.reshape(-1), "shape=(-1,)"),
        (lambda x: x.cast(np.float16), "dtype=float16"),
        (lambda x: x.softmax(), ""),
        (lambda x: x.softmax(axis=0), "axis=0"),
        (lambda x: x.norm(p=3.0), "p=3"),
    ],
)
def test_indices_and_options_read_like_code(make, expected):
    assert text_of(make(images(64, 64))) == expected


@each(
    ("options", "expected"),
    [
        ({}, ""),
        ({"stride": 2}, "stride=2"),
        ({"stride": (2, 2), "padding": (1, 1)}, "stride=2, padding=1"),
        ({"stride": (2, 1), "dilation": 1}, "stride=(2, 1)"),
        ({"stride": (1, 1), "padding": (0, 0)}, ""),
    ],
)
def test_convolutions_show_what_the_user_wrote(options, expected):
    assert text_of(images(1, 4, 9, 9).conv2d(images(2, 4, 3, 3), **options)) == expected


def test_pads_are_pairs_that_pad_accepts():
    x = images(1, 1, 4, 4)
    assert text_of(x.pad((0, 1, 0, 1))) == "padding=((0, 0), (0, 0), (0, 1), (0, 1))"


@each(
    ("options", "expected"),
    [
        ({"kernel_size": 2}, "kernel_size=2"),
        ({"kernel_size": (2, 3)}, "kernel_size=(2, 3)"),
        ({"kernel_size": 3, "stride": 1, "padding": 1}, "kernel_size=3, stride=1, padding=1"),
        ({"kernel_size": 2, "dilation": 2}, "kernel_size=2, dilation=2"),
    ],
)
def test_pooling_shows_what_the_user_wrote(options, expected):
    assert text_of(images(1, 1, 9, 9).max_pool2d(**options)) == expected


def test_values_without_a_short_text_are_named_by_type_or_size():
    options = {"a": object(), "b": len, "c": np.ones(3), "d": tuple(range(9)), "e": np.float32(2)}
    assert describe_options(ops.conv2d, options) == (
        "a=object, b=len, c=float64[3], d=<9 entries>, e=2"
    )


def test_vjps_are_source_text():
    assert describe_vjps(ops.mul) == {"a": "mul(grad_out, b)", "b": "mul(grad_out, a)"}
    assert vjp_sources(ops.batch_norm)["x"] == "by definition: _define_batch_norm(...)"
    assert vjp_sources(ops.relu) == {"x": "keep_where(grad_out, as_array(out))"}
    assert describe_vjps(ops.argmax) == {}


def test_rules_call_no_private_helpers():
    for each_op in ops.table.values():
        rules = describe_vjps(each_op)
        assert rules.keys() == vjp_sources(each_op).keys()
        for rule in rules.values():
            assert not re.search(r"(?<!\w)_|\(\.\.\.\)", rule), (each_op.name, rule)


def test_rules_are_for_ops_that_exist():
    assert _RULES.keys() - {"checkpointed_call"} <= ops.table.keys()


@each("name", ["pow", "power_slope", "power_log", "exp2", "log2", "log10", "asinh", "log_odds"])
def test_rules_give_the_gradient(name):
    each_op = ops.table[name]
    inputs = {wrt: Tensor([0.3, 0.6], requires_grad=True) for wrt in each_op.inputs}
    out = each_op(*inputs.values())
    grad_out = np.float32([2.0, -1.0])
    out.backward(Tensor(grad_out))
    known = {wrt: tensor.numpy() for wrt, tensor in inputs.items()}
    known |= {"grad_out": grad_out, "out": out.numpy(), "log": np.log, "sqrt": np.sqrt}
    for wrt, rule in describe_vjps(each_op).items():
        np.testing.assert_allclose(eval(rule, known), inputs[wrt].grad.numpy(), rtol=1e-4)


def test_an_op_of_the_user_with_the_name_of_another_has_its_own_rule():
    @op("5x", vjps={"x": lambda grad_out: grad_out * 5})
    def relu(x):
        return 5 * x

    assert describe_vjps(relu) == {"x": "grad_out * 5"}


@each(
    ("name", "wrt", "shapes", "expected"),
    [
        ("add", "b", [(8, 10), (10,)], ", summed over the broadcast axis (8 × 10 -> 10)"),
        (
            "mul",
            "a",
            [(3, 1, 4), (2, 3, 5, 4)],
            ", summed over the broadcast axes (2 × 3 × 5 × 4 -> 3 × 1 × 4)",
        ),
        ("add", "a", [(), (5,)], ", summed over the broadcast axis (5 -> scalar)"),
        ("add", "a", [(8, 10), (10,)], ""),
        (
            "linear",
            "bias",
            [(8, 3), (10, 3), (10,)],
            ", summed over the broadcast axis (8 × 10 -> 10)",
        ),
        ("linear", "x", [(8, 1), (10, 1), (10,)], ""),
        ("linear", "weight", [(8, 1), (8, 1), (8,)], ""),
        (
            "batched_matmul",
            "b",
            [(2, 3, 4), (4, 5)],
            ", summed over the broadcast axis (2 × 4 × 5 -> 4 × 5)",
        ),
        ("batched_matmul", "a", [(3, 1), (1, 5)], ""),
    ],
)
def test_sums_over_broadcast_axes_are_described(name, wrt, shapes, expected):
    each_op = ops.table[name]
    out = each_op(*[Tensor.ones(*shape) for shape in shapes])
    shape = shapes[list(each_op.inputs).index(wrt)]
    assert describe_sum(name, wrt, shape, out.shape) == expected


def test_inputs_that_grow_without_broadcasting_are_not_summed():
    assert describe_sum("conv2d", "x", (2, 1, 9, 9), (2, 8, 9, 9)) == ""
    assert describe_sum("cat", "xs", (1, 3), (2, 3)) == ""


def test_all_elementwise_ops_broadcast():
    families = ("tinygrad_np.ops.elementwise", "tinygrad_np.ops.functions")
    for each_op in ops.table.values():
        if each_op.forward.__module__ in families and len(each_op.differentiable_inputs) > 1:
            assert each_op.name in _BROADCASTING


def test_ops_without_source_have_empty_texts():
    space = {"op": op, "__name__": "nowhere"}
    exec('@op("2x", vjps={"x": lambda grad_out: grad_out * 2})\ndef f(x): return 2 * x', space)
    assert describe_vjps(space["f"]) == {"x": ""}


def test_ops_defined_in_a_function_have_texts():
    @op("3x", vjps={"x": lambda grad_out: grad_out * 3})
    def triple(x):
        return 3 * x

    assert describe_vjps(triple) == {"x": "grad_out * 3"}


def test_every_op_has_a_text_for_each_gradient():
    for each_op in ops.table.values():
        texts = describe_vjps(each_op)
        assert texts.keys() == each_op.differentiable_inputs
        assert all(texts.values())


def test_layers_describe_their_ops():
    layer = nn.Conv2d(1, 2, 3, padding=1)
    assert text_of(layer(Tensor.ones(1, 1, 5, 5))) == "padding=1"

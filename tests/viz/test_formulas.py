"""Options and gradients are described as code."""

import numpy as np

from tests.tools import each, normal
from tinygrad_np import Tensor, nn, op, ops
from tinygrad_np.viz.formulas import describe_options, describe_vjps


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
    assert describe_vjps(ops.batch_norm)["x"] == "by definition: _define_batch_norm(...)"
    assert describe_vjps(ops.argmax) == {}


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

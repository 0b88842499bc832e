"""Pictures as text for a terminal."""

import numpy as np
import pytest

from models import LeNet
from tests.tools import each
from tests.viz.models import (
    Failing,
    Recurrent,
    Shared,
    Stack,
    batch,
    hessian_vector_product,
    scalar_expression,
)
from tinygrad_np import Tensor, nn, viz
from tinygrad_np.viz.text import numbers

pytestmark = pytest.mark.slow


def test_each_box_has_a_line_in_the_order_of_execution():
    y, names = scalar_expression()
    assert str(viz.draw(y, names=names)).splitlines() == [
        "a  [input; value 2]",
        "b  [input; value -3]",
        "c  [input; value 7]",
        "mul <- a, b  [value -6]",
        "add <- mul, c  [value 1]",
        "tanh <- add  [value 0.7616]",
        "y = pow <- tanh, 2  [value 0.58]",
        "output <- y  [value 0.58]",
    ]


def test_an_op_lists_its_inputs_in_order_with_repeats():
    x, w = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    assert "mul <- x, x" in str(viz.draw(x * x, names={"x": x}))
    assert "sub <- exp, w" in str(viz.draw(x.exp() - w, names={"x": x, "w": w}))
    text = str(viz.draw(lambda x: nn.Sequential(nn.ReLU())(x) * x / x, x))
    assert "div <- mul, x" in text
    layer = nn.Tanh()
    assert "mul <- Tanh, Tanh" in str(viz.draw(lambda x: (y := layer(x)) * y, x))


def test_arrays_are_named_by_their_use():
    x = batch(2, 8, 4)
    dropout = nn.Sequential(nn.Tanh(), nn.Dropout(0.5))
    assert "mask  [constant; 2 × 8 × 4 bool]" in str(viz.draw(dropout, x, level="op"))
    w = Tensor(x, requires_grad=True)
    lines = str(viz.draw(w.exp() * Tensor(x) - Tensor(x))).splitlines()
    assert lines[2:6] == [
        "data  [constant; 2 × 8 × 4]",
        "mul <- exp, data  [-> 2 × 8 × 4]",
        "data #2  [constant]",  # sub does not save it
        "sub <- mul, data #2  [-> 2 × 8 × 4]",
    ]


def test_layers_that_are_gone_are_named_by_their_kind():
    y = nn.Sequential(nn.Linear(4, 3), nn.ReLU())(Tensor(batch(9, 4)))
    assert str(viz.draw(y)).splitlines()[2:4] == [
        "  Linear <- data  [weight 3 × 4, bias 3; 15 parameters; -> 9 × 3]",
        "  ReLU <- Linear  [-> 9 × 3]",
    ]


def test_derivatives_are_in_the_text():
    y, names = scalar_expression()
    lines = str(viz.draw(y, names=names, derivatives=True)).splitlines()
    assert lines[3] == "mul <- a (∂ = -3), b (∂ = 2)  [value -6]"
    assert lines[6] == "y = pow <- tanh (∂ = 1.523), 2  [value 0.58]"


def test_frames_are_indented_and_repeats_counted():
    lines = str(viz.draw(Stack(), batch(2, 4))).splitlines()
    assert lines[0].startswith("Stack: ")
    assert "  blocks.0 … blocks.11: Block ×12" in lines
    assert any(line.startswith("    norm: LayerNorm") for line in lines)
    assert "      0: Linear(4, 8) <- norm  [weight 8 × 4, bias 8; 40 parameters each;" in lines[6]


def test_boxes_of_the_same_name_are_numbered():
    text = str(viz.draw(hessian_vector_product()[0]))
    assert "VJP of mul #2 <- " in text
    assert text.count("VJP of mul #2") >= 2


def test_calls_of_a_shared_module_and_failures_are_named():
    assert "call 2 of 2" in str(viz.draw(Shared(), batch(4, 10)))
    failing = " ".join(str(viz.draw(Failing(), batch(4, 10))).split())
    assert "FAILED: ShapeError: Linear 'second': expected" in failing
    assert "of the step before" in str(viz.draw(Recurrent(), batch(2, 32, 3)))


@each("target", [Stack, LeNet, Recurrent])
def test_lines_fit_in_a_terminal(target):
    shapes = {Stack: (2, 4), LeNet: (64, 1, 28, 28), Recurrent: (2, 32, 3)}
    text = str(viz.draw(target(), batch(*shapes[target])))
    assert max(map(len, text.splitlines())) <= 100


@each(
    ("values", "expected"),
    [
        (1.0, "1"),
        (np.nan, "nan"),
        (123456.0, "1.235e+05"),
        ([1, 2], "[1, 2]"),
        ([[True], [False]], "[[True], [False]]"),
    ],
)
def test_numbers_have_four_digits(values, expected):
    assert numbers(np.array(values)) == expected

"""gradcheck and gradgradcheck: reports, and detection of wrong gradients."""

import re

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, gradcheck, gradgradcheck, op, ops
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, TinygradNpError
from tinygrad_np.gradcheck import GradientError

POINTS = np.random.default_rng(0).uniform(0.5, 2.0, (2, 3))


def square_with(vjp):
    """Return an op that computes x² with the given VJP."""

    @op("x^2", vjps={"x": vjp})
    def square(x):
        return x * x

    return square


def entries_of(message):
    """Parse the rows of an error message: entry, VJP, difference, and ratio if any."""
    rows = re.findall(r"^ *(\([\d, ]*\)) +(\S+) +(\S+) *(\S*)$", message, re.MULTILINE)
    return [(place, float(vjp), float(numeric), ratio) for place, vjp, numeric, ratio in rows]


# Correct gradients.


def test_report_lists_comparisons():
    report = gradcheck(lambda x, y: x * y.exp(), [POINTS, POINTS[0]])
    assert [entry[:3] for entry in report.inputs] == [(0, (2, 3), 3), (1, (3,), 3)]
    assert all(0 < entry[3] < 1e-6 for entry in report.inputs)
    first, second = str(report).splitlines()
    text = r"random projections agree, largest relative deviation \d\.\de-\d+"
    assert re.fullmatch(rf"input 0 \(2, 3\): 3 {text}", first)
    assert re.fullmatch(rf"input 1 \(3,\): 3 {text}", second)


@pytest.mark.parametrize("projections", [1, 5])
def test_report_shows_the_number_of_projections(projections):
    report = gradcheck(lambda x: x.exp(), [POINTS], projections=projections)
    assert report.inputs[0][2] == projections
    assert f": {projections} random projections agree" in str(report)


def test_full_compares_the_whole_jacobian():
    report = gradcheck(lambda x, y: x.exp() @ y, [POINTS, POINTS[0]], full=True)
    assert [entry[:3] for entry in report.inputs] == [(0, (2, 3), 2 * 6), (1, (3,), 2 * 3)]
    assert "input 1 (3,): 6 entries of the Jacobian agree" in str(report)


def test_gradcheck_varies_only_float64_inputs():
    """Tensors, nested lists and numbers are varied; None and other dtypes are passed unchanged."""

    def function(x, y, z, chosen, nothing, scale):
        assert nothing is None
        assert (chosen.dtype, scale.dtype) == (np.int64, np.float32)
        assert not chosen.requires_grad
        return (x * y * z)[chosen] * scale.cast(np.float64)

    x = Tensor(POINTS)
    inputs = [x, POINTS.tolist(), 2.0, np.array([1, 0, 1]), None, np.ones(3, np.float32)]
    report = gradcheck(function, inputs)
    assert [entry[:2] for entry in report.inputs] == [(0, (2, 3)), (1, (2, 3)), (2, ())]
    assert not x.requires_grad
    assert x.grad is None
    second = gradgradcheck(function, inputs)
    assert [entry[:2] for entry in second.inputs][-1] == (6, (3, 3))


def test_inputs_are_not_changed():
    points = POINTS.copy()
    points.flags.writeable = False
    gradcheck(lambda x: x.exp(), [points], full=True)
    gradgradcheck(lambda x: x.exp(), [points])
    assert points.tolist() == POINTS.tolist()


@each("check", [gradcheck, gradgradcheck])
@each("shape", [(), (0,), (1,), (2, 1, 2)])
@each("full", [True, False])
def test_inputs_of_any_shape_are_checked(check, shape, full):
    report = check(lambda x: x.exp() * x, [np.full(shape, 0.5)], full=full)
    assert report.inputs[0][1] == shape


def test_seed_determines_the_projections():
    def deviation(seed):
        return gradcheck(lambda x: x.exp(), [POINTS], seed=seed).inputs[0][3]

    assert deviation(1) == deviation(1)
    assert deviation(1) != deviation(2)


def test_linear_function_passes_gradgradcheck():
    report = gradgradcheck(lambda x: x * 3, [POINTS])
    assert [entry[:2] for entry in report.inputs] == [(0, (2, 3)), (1, (2, 3))]


# Wrong gradients.

WRONG = {
    "factor": (lambda grad_out, x: grad_out * 2 * x * 1.001, "1.0010"),
    "sign": (lambda grad_out, x: -grad_out * 2 * x, "-1.0000"),
    "half": (lambda grad_out, x: grad_out * x, "0.5000"),
}


@each("full", [True, False])
@each("wrong", WRONG)
def test_wrong_factor_or_sign_has_a_constant_ratio(wrong, full):
    vjp, ratio = WRONG[wrong]
    with pytest.raises(GradientError) as caught:
        gradcheck(square_with(vjp), [np.array([1.0, 2.0, 3.0])], full=full)
    message = str(caught.value)
    assert message.startswith(
        "gradcheck: the VJP for input 0 of shape (3,) disagrees with central differences. The "
        "worst of 3 entries are:\n"
    )
    assert (
        "the same for all entries, the VJP (or the backward kernel, if the op has one)" in message
    )
    rows = entries_of(message)
    assert len(rows) == 3
    assert {row[3] for row in rows if row[2]} == {ratio}
    for _, analytic, numeric, _ in rows:
        assert analytic == pytest.approx(float(ratio) * numeric, abs=1e-8)


@pytest.mark.parametrize("full", [True, False])
def test_swapped_entries_are_detected(full):
    """The sum over the entries is correct."""
    function = square_with(lambda grad_out, x: ops.flip(grad_out * 2 * x, 0))
    with pytest.raises(GradientError):
        gradcheck(function, [POINTS], full=full)


def test_wrong_entry_is_listed_first():
    mask = np.ones((2, 3))
    mask[1, 2] = 2.0
    function = square_with(lambda grad_out, x: grad_out * 2 * x * mask)
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda y, x: function(x).sum() + y, [1.0, POINTS])
    message = str(caught.value)
    expected = "the VJP for input 1 of shape (2, 3) disagrees with central differences. The worst"
    assert f"{expected} of 6" in message
    (worst, *others) = entries_of(message)
    assert (worst[0], worst[3]) == ("(1, 2)", "2.0000")
    assert worst[1] == pytest.approx(2 * worst[2], rel=1e-6)
    assert len(others) == 4
    assert all(analytic == pytest.approx(numeric, rel=1e-6) for _, analytic, numeric, _ in others)


def test_ratio_is_omitted_if_the_difference_is_zero():
    @op("0", vjps={"x": lambda grad_out: grad_out})
    def nothing(x):
        return x * 0

    with pytest.raises(GradientError) as caught:
        gradcheck(nothing, [np.array([1.0])], full=True)
    ((place, analytic, numeric, ratio),) = entries_of(str(caught.value))
    assert (place, analytic, numeric, ratio) == ("(0,)", 1.0, 0.0, "")


@pytest.mark.parametrize("vjp", [lambda grad_out, x: grad_out * np.nan, lambda grad_out, x: x / 0])
def test_nan_and_inf_are_detected(vjp):
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(GradientError):
        gradcheck(square_with(vjp), [np.array([1.0, 2.0])])


@pytest.mark.parametrize("projections", [1, 3])
def test_one_wrong_entry_of_1000_is_detected(projections):
    mask = np.ones(1000)
    mask[567] = 1.01
    function = square_with(lambda grad_out, x: grad_out * 2 * x * mask)
    points = np.random.default_rng(1).uniform(1, 2, 1000)
    with pytest.raises(GradientError, match=r"worst of 1000 entries are:\n.*\n +\(567,\)"):
        gradcheck(function, [points], projections=projections)


def test_message_suggests_moving_the_point_off_a_kink():
    with pytest.raises(GradientError, match="At a kink, differences are meaningless: move the"):
        gradcheck(lambda x: x.relu(), [np.array([0.0, 1.0])])


def test_tolerance_limits_the_accepted_difference():
    function = square_with(lambda grad_out, x: grad_out * 2 * x * 1.001)
    report = gradcheck(function, [POINTS], tolerance=1e-2)
    assert 1e-6 < report.inputs[0][3] < 1e-2
    with pytest.raises(GradientError):
        gradcheck(lambda x: x.exp(), [POINTS], tolerance=1e-15)


def test_eps_is_the_step_of_the_difference():
    """The central difference of x³ is too large by eps²."""
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda x: x * x * x, [np.array([1.0])], eps=0.1, full=True)
    ((_, analytic, numeric, _),) = entries_of(str(caught.value))
    assert analytic == 3.0
    assert numeric == pytest.approx(3.01)


# Second derivatives.


def test_gradgradcheck_detects_cache_listed_in_keeps():
    """With exp(x) in `keeps`, the gradient is correct, but it seems not to depend on x."""

    @op("exp(x)", vjps={"x": lambda grad_out, power: grad_out * power}, keeps=("power",))
    def exponential(x):
        power = np.exp(x)
        return power, power

    gradcheck(exponential, [POINTS], full=True)
    with pytest.raises(GradientError, match=r"input 0 of shape \(2, 3\)") as caught:
        gradgradcheck(exponential, [POINTS])
    assert all(row[1] == 0 for row in entries_of(str(caught.value)))


def test_gradgradcheck_detects_wrong_definition():
    @op(
        "exp(x)",
        definition=lambda x: ops.exp(ops.mul(x, 1.5)),
        differentiable=("x",),
        backward=lambda grad_out, power: [grad_out * power],
        caches=("power",),
    )
    def exponential(x):
        power = np.exp(x)
        return power, power

    gradcheck(exponential, [POINTS])
    message = (
        r"for input 0 of shape \(2, 3\), the backward kernel of an op and its VJPs .* by up to"
    )
    with pytest.raises(GradientError, match=message):
        gradgradcheck(exponential, [POINTS])


def test_nonlinear_vjp_is_detected():
    """The VJP is correct only for an upstream gradient of ones."""
    function = square_with(lambda grad_out, x: grad_out * grad_out * 2 * x)
    function(Tensor([3.0], requires_grad=True)).sum().backward()
    with pytest.raises(GradientError):
        gradcheck(function, [POINTS])
    with pytest.raises(GradientError):
        gradgradcheck(lambda x: x * x.detach(), [POINTS])


# Invalid arguments.


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_inputs_without_float64_raise(check):
    for value in (np.ones(2, np.float32), [1, 2], Tensor([1.0]), None):
        with pytest.raises(DtypeError, match=r"one float64 input, got none\. Differences"):
            check(lambda x: x * 1, [value])


def test_unused_input_raises():
    with pytest.raises(GraphError, match=r"target 1 of shape \(2, 3\) was not used"):
        gradcheck(lambda x, y: x * x, [POINTS, POINTS])


@pytest.mark.parametrize("projections", [0, -1])
def test_invalid_projections_raise(projections):
    with pytest.raises(ArgumentError, match=f"`projections` to be at least 1, got {projections}"):
        gradcheck(lambda x: x * x, [np.ones(2)], projections=projections)


def test_gradient_error_is_an_arithmetic_error():
    assert issubclass(GradientError, TinygradNpError)
    assert issubclass(GradientError, ArithmeticError)


def test_search_for_one_wrong_entry_skips_most_of_10_000():
    """The search evaluates far fewer than 10,000 entries."""
    wrong = np.ones((100, 100))
    wrong[17, 83] = 3.0
    calls = []

    @op("2 x", vjps={"x": lambda grad_out: grad_out * wrong * 2})
    def twice(x):
        calls.append(None)
        return x * 2

    with pytest.raises(
        GradientError, match=r"worst of 10000 entries are:\n.*\n +\(17, 83\) .* 3\.0000\n"
    ):
        gradcheck(twice, [np.ones((100, 100))])
    assert len(calls) < 1000


def test_wrong_gradients_of_small_values_are_detected():
    """A wrong VJP is detected even if all numbers are small."""
    tiny = op("1e-7 x^2", vjps={"x": lambda grad_out: grad_out * 0})(lambda x: 1e-7 * x * x)
    for full in (False, True):
        with pytest.raises(GradientError):
            gradcheck(tiny, [np.array([1.0, 2.0])], full=full)


@each("check", [gradcheck, gradgradcheck])
@each("result", [lambda x: (x, x), lambda x: {"a": x}, lambda x: x.numpy(), lambda x: None])
def test_function_that_returns_a_non_tensor_raises(result, check):
    name = type(result(Tensor(POINTS))).__name__
    message = (
        f"gradcheck: expected the function to return a Tensor, got {name}. Check one output at a "
        "time."
    )
    with pytest.raises(DtypeError, match=f"^{re.escape(message)}$"):
        check(result, [POINTS])

"""The checker: what it reports, and that it notices what is wrong."""

import re

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, gradcheck, gradgradcheck, op, ops
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, TinygradNpError
from tinygrad_np.gradcheck import GradientError

POINTS = np.random.default_rng(0).uniform(0.5, 2.0, (2, 3))


def square_with(vjp):
    """Return x² as an op with a VJP of someone's own."""

    @op("x^2", vjps={"x": vjp})
    def square(x):
        return x * x

    return square


def entries_of(message):
    """Return the rows of a report: the entry, the VJP, the difference, and the ratio if any."""
    rows = re.findall(r"^ *(\([\d, ]*\)) +(\S+) +(\S+) *(\S*)$", message, re.MULTILINE)
    return [(place, float(vjp), float(numeric), ratio) for place, vjp, numeric, ratio in rows]


# What is right.


def test_a_report_says_what_was_compared():
    report = gradcheck(lambda x, y: x * y.exp(), [POINTS, POINTS[0]])
    assert [entry[:3] for entry in report.inputs] == [(0, (2, 3), 3), (1, (3,), 3)]
    assert all(0 < entry[3] < 1e-6 for entry in report.inputs)
    first, second = str(report).splitlines()
    text = r"random projections agree, the largest deviation is \d\.\de-\d+"
    assert re.fullmatch(rf"input 0 \(2, 3\): 3 {text}", first)
    assert re.fullmatch(rf"input 1 \(3,\): 3 {text}", second)


@pytest.mark.parametrize("projections", [1, 5])
def test_as_many_projections_as_asked_for(projections):
    report = gradcheck(lambda x: x.exp(), [POINTS], projections=projections)
    assert report.inputs[0][2] == projections
    assert f": {projections} random projections agree" in str(report)


def test_the_whole_jacobian():
    report = gradcheck(lambda x, y: x.exp() @ y, [POINTS, POINTS[0]], full=True)
    assert [entry[:3] for entry in report.inputs] == [(0, (2, 3), 2 * 6), (1, (3,), 2 * 3)]
    assert "input 1 (3,): 6 entries of the Jacobian agree" in str(report)


def test_inputs_of_any_kind():
    """Tensors, nested lists, numbers; None and what is no float64 are passed on as they are."""

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


def test_inputs_are_not_written_to():
    points = POINTS.copy()
    points.flags.writeable = False
    gradcheck(lambda x: x.exp(), [points], full=True)
    gradgradcheck(lambda x: x.exp(), [points])
    assert points.tolist() == POINTS.tolist()


@each("check", [gradcheck, gradgradcheck])
@each("shape", [(), (0,), (1,), (2, 1, 2)])
@each("full", [True, False])
def test_any_shape(check, shape, full):
    report = check(lambda x: x.exp() * x, [np.full(shape, 0.5)], full=full)
    assert report.inputs[0][1] == shape


def test_the_same_seed_compares_the_same():
    def deviation(seed):
        return gradcheck(lambda x: x.exp(), [POINTS], seed=seed).inputs[0][3]

    assert deviation(1) == deviation(1)
    assert deviation(1) != deviation(2)


def test_a_linear_function_has_second_derivatives_of_zero():
    report = gradgradcheck(lambda x: x * 3, [POINTS])
    assert [entry[:2] for entry in report.inputs] == [(0, (2, 3)), (1, (2, 3))]


# What is wrong.

WRONG = {
    "factor": (lambda grad_out, x: grad_out * 2 * x * 1.001, "1.0010"),
    "sign": (lambda grad_out, x: -grad_out * 2 * x, "-1.0000"),
    "half": (lambda grad_out, x: grad_out * x, "0.5000"),
}


@each("full", [True, False])
@each("wrong", WRONG)
def test_a_wrong_factor_or_sign_is_the_same_ratio_everywhere(wrong, full):
    vjp, ratio = WRONG[wrong]
    with pytest.raises(GradientError) as caught:
        gradcheck(square_with(vjp), [np.array([1.0, 2.0, 3.0])], full=full)
    message = str(caught.value)
    assert message.startswith(
        "gradcheck: input 0 of shape (3,): the VJP and central differences disagree; of 3 entries "
        "the worst are\n"
    )
    assert "the same everywhere is a wrong factor or sign in the VJP, or in" in message
    rows = entries_of(message)
    assert len(rows) == 3
    assert {row[3] for row in rows if row[2]} == {ratio}
    for _, analytic, numeric, _ in rows:
        assert analytic == pytest.approx(float(ratio) * numeric, abs=1e-8)


@pytest.mark.parametrize("full", [True, False])
def test_entries_that_changed_places_are_found(full):
    """Though their sum is right."""
    function = square_with(lambda grad_out, x: ops.flip(grad_out * 2 * x, 0))
    with pytest.raises(GradientError):
        gradcheck(function, [POINTS], full=full)


def test_one_wrong_entry_comes_first_with_both_numbers():
    mask = np.ones((2, 3))
    mask[1, 2] = 2.0
    function = square_with(lambda grad_out, x: grad_out * 2 * x * mask)
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda y, x: function(x).sum() + y, [1.0, POINTS])
    message = str(caught.value)
    assert "input 1 of shape (2, 3): the VJP and central differences disagree; of 6" in message
    (worst, *others) = entries_of(message)
    assert (worst[0], worst[3]) == ("(1, 2)", "2.0000")
    assert worst[1] == pytest.approx(2 * worst[2], rel=1e-6)
    assert len(others) == 4
    assert all(analytic == pytest.approx(numeric, rel=1e-6) for _, analytic, numeric, _ in others)


def test_a_gradient_where_there_is_none_has_no_ratio():
    @op("0", vjps={"x": lambda grad_out: grad_out})
    def nothing(x):
        return x * 0

    with pytest.raises(GradientError) as caught:
        gradcheck(nothing, [np.array([1.0])], full=True)
    ((place, analytic, numeric, ratio),) = entries_of(str(caught.value))
    assert (place, analytic, numeric, ratio) == ("(0,)", 1.0, 0.0, "")


@pytest.mark.parametrize("vjp", [lambda grad_out, x: grad_out * np.nan, lambda grad_out, x: x / 0])
def test_nan_and_inf_are_wrong(vjp):
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(GradientError):
        gradcheck(square_with(vjp), [np.array([1.0, 2.0])])


@pytest.mark.parametrize("projections", [1, 3])
def test_a_fault_in_one_of_a_thousand_entries_is_found(projections):
    mask = np.ones(1000)
    mask[567] = 1.01
    function = square_with(lambda grad_out, x: grad_out * 2 * x * mask)
    points = np.random.default_rng(1).uniform(1, 2, 1000)
    with pytest.raises(GradientError, match=r"of 1000 entries the worst are\n.*\n +\(567,\)"):
        gradcheck(function, [points], projections=projections)


def test_a_kink_is_reported_with_the_advice_to_move():
    with pytest.raises(GradientError, match="At a kink differences say nothing: move the point"):
        gradcheck(lambda x: x.relu(), [np.array([0.0, 1.0])])


def test_the_tolerance_is_that_of_the_caller():
    function = square_with(lambda grad_out, x: grad_out * 2 * x * 1.001)
    report = gradcheck(function, [POINTS], tolerance=1e-2)
    assert 1e-6 < report.inputs[0][3] < 1e-2
    with pytest.raises(GradientError):
        gradcheck(lambda x: x.exp(), [POINTS], tolerance=1e-15)


def test_the_step_is_that_of_the_caller():
    """Of a cube the difference is too large by eps²."""
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda x: x * x * x, [np.array([1.0])], eps=0.1, full=True)
    ((_, analytic, numeric, _),) = entries_of(str(caught.value))
    assert analytic == 3.0
    assert numeric == pytest.approx(3.01)


# Second derivatives.


def test_a_cache_used_as_a_constant_is_found_by_the_second_derivative_only():
    """exp(x) kept as if it were constant: the slope is right, and seems not to depend on x."""

    @op("exp(x)", vjps={"x": lambda grad_out, power: grad_out * power}, keeps=("power",))
    def exponential(x):
        power = np.exp(x)
        return power, power

    gradcheck(exponential, [POINTS], full=True)
    with pytest.raises(GradientError, match=r"input 0 of shape \(2, 3\)") as caught:
        gradgradcheck(exponential, [POINTS])
    assert all(row[1] == 0 for row in entries_of(str(caught.value)))


def test_a_definition_that_is_another_function_is_found_by_the_second_derivative_only():
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
        r"input 0 of shape \(2, 3\): the backward kernel of an op and its calculus, .* by up to"
    )
    with pytest.raises(GradientError, match=message):
        gradgradcheck(exponential, [POINTS])


def test_a_vjp_that_is_not_linear_in_the_gradient_is_found():
    """Right for an upstream gradient of ones, which u is not."""
    function = square_with(lambda grad_out, x: grad_out * grad_out * 2 * x)
    function(Tensor([3.0], requires_grad=True)).sum().backward()
    with pytest.raises(GradientError):
        gradcheck(function, [POINTS])
    with pytest.raises(GradientError):
        gradgradcheck(lambda x: x * x.detach(), [POINTS])


# What cannot be checked.


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_float32_is_too_coarse(check):
    for value in (np.ones(2, np.float32), [1, 2], Tensor([1.0]), None):
        with pytest.raises(DtypeError, match="no float64 input; differences"):
            check(lambda x: x * 1, [value])


def test_an_input_that_is_not_used_is_named():
    with pytest.raises(GraphError, match=r"target 1 of shape \(2, 3\) was not used"):
        gradcheck(lambda x, y: x * x, [POINTS, POINTS])


@pytest.mark.parametrize("projections", [0, -1])
def test_no_projection_is_no_check(projections):
    with pytest.raises(ArgumentError, match=f"projections: got {projections}, expected at least 1"):
        gradcheck(lambda x: x * x, [np.ones(2)], projections=projections)


def test_the_error_is_one_of_the_packages_and_arithmetic():
    assert issubclass(GradientError, TinygradNpError)
    assert issubclass(GradientError, ArithmeticError)


def test_the_one_wrong_entry_of_many_is_found():
    """Without a look at each of 10 000 entries."""
    wrong = np.ones((100, 100))
    wrong[17, 83] = 3.0
    calls = []

    @op("2 x", vjps={"x": lambda grad_out: grad_out * wrong * 2})
    def twice(x):
        calls.append(None)
        return x * 2

    with pytest.raises(GradientError, match=r"of 10000 entries.*\n.*\n +\(17, 83\) .* 3\.0000\n"):
        gradcheck(twice, [np.ones((100, 100))])
    assert len(calls) < 1000


def test_small_functions_are_checked_too():
    """A wrong VJP is wrong also where all numbers are small."""
    tiny = op("1e-7 x^2", vjps={"x": lambda grad_out: grad_out * 0})(lambda x: 1e-7 * x * x)
    for full in (False, True):
        with pytest.raises(GradientError):
            gradcheck(tiny, [np.array([1.0, 2.0])], full=full)

"""Function transforms: every transform, with every kind of argument, nested to any depth."""

import math
import threading

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, enable_grad, nn, no_grad, transforms
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp


def double(*values):
    """Return a float64 Tensor."""
    return Tensor(np.array(values[0] if len(values) == 1 else values, np.float64))


class Network(nn.Module):
    """Two linear layers with tanh between them: 13 parameters in float64."""

    def __init__(self, seed=0):
        generator = np.random.default_rng(seed)
        self.first = nn.Linear(2, 3, generator=generator)
        self.last = nn.Linear(3, 1, generator=generator)
        self.astype(np.float64)

    def forward(self, x):
        return self.last(self.first(x).tanh())


POINTS = np.random.default_rng(1).standard_normal((4, 2))


def loss_of(network, scale=1.0):
    """Return a scalar loss."""
    return (network(POINTS) ** 2).mean() * scale


def flat(tensors):
    """Concatenate the Tensors of a dict into one array."""
    return np.concatenate([tensor.data.ravel() for tensor in tensors.values()])


def differences(function, network, eps=1e-6):
    """Return central differences of a function of a network, one column per parameter entry."""
    columns = []
    for parameter in network.parameters():
        for place in np.ndindex(parameter.shape):
            sides = []
            for sign in (1, -1):
                parameter.data[place] += sign * eps
                sides.append(function(network))
                parameter.data[place] -= sign * eps
            columns.append((sides[0] - sides[1]) / (2 * eps))
    return np.stack(columns, axis=-1)


def product(x, y):
    """Return the sum of x² y; its derivatives are 2xy and x²."""
    return (x * x * y).sum()


# Arguments to differentiate with respect to, and the structure of the result.


@each(
    ("argnum", "expected"),
    [
        (0, [12.0, 40.0]),
        (1, [4.0, 16.0]),
        ((0, 1), ([12.0, 40.0], [4.0, 16.0])),
        ((1, 0), ([4.0, 16.0], [12.0, 40.0])),
        ((1,), ([4.0, 16.0],)),
        ([0], ([12.0, 40.0],)),
    ],
)
def test_argnum_selects_arguments_and_result_structure(argnum, expected):
    point = double(2.0, 4.0), double(3.0, 5.0)
    value, both = value_and_grad(product, argnum)(*point)
    _, pull = vjp(product, argnum)(*point)
    slopes, matrix = grad(product, argnum)(*point), jacobian(product, argnum)(*point)
    for found in (slopes, both, pull(1.0), matrix):
        if isinstance(argnum, int):
            assert found.tolist() == expected
        else:
            assert tuple(part.tolist() for part in found) == expected
    assert value.item() == 92.0


@each(
    ("given", "dtype"),
    [
        (3.0, np.float32),
        (np.float64(3.0), np.float64),
        (np.array(3.0), np.float64),
        (np.array(3.0, np.float32), np.float32),
        (double(3.0), np.float64),
        (leaf(3.0), np.float64),
        (nn.Parameter(3.0), np.float32),
    ],
)
def test_numbers_arrays_and_tensors_keep_their_dtype(given, dtype):
    slope = grad(lambda x: x * x)(given)
    assert type(slope) is Tensor
    assert (slope.item(), slope.dtype, slope.shape) == (6.0, dtype, ())
    assert getattr(given, "grad", None) is None


def test_arrays_and_tensors_are_not_changed():
    array = np.ones(2)
    array.flags.writeable = False
    tensor = double(1.0, 1.0)
    grad(lambda x, y: (x * y).sum(), (0, 1))(array, tensor)
    assert not tensor.requires_grad
    assert tensor.grad is None


def test_other_arguments_are_passed_on():
    def function(x, power, *, scale, shift=0.0):
        assert isinstance(power, int)
        return x**power * scale + shift

    assert grad(function)(double(2.0), 3, scale=5.0).item() == 60.0
    assert value_and_grad(function)(double(2.0), 3, scale=5.0, shift=1.0)[0].item() == 41.0
    assert vjp(function)(double(2.0), 3, scale=5.0)[1](2.0).item() == 120.0
    assert jvp(function)(double(2.0), 3, 2.0, scale=5.0)[1].item() == 120.0
    assert jacobian(function)(double(2.0), 3, scale=5.0).item() == 60.0
    assert hessian(function)(double(2.0), 3, scale=5.0).item() == 60.0
    assert hvp(function)(double(2.0), 3, 2.0, scale=5.0).item() == 120.0


def test_gradients_of_a_module_are_a_dict_by_parameter_name():
    network = Network()
    found = grad(loss_of)(network)
    assert list(found) == ["first.weight", "first.bias", "last.weight", "last.bias"]
    loss_of(network).backward()
    for name, parameter in network.named_parameters():
        assert found[name].tolist() == parameter.grad.tolist()


def test_frozen_parameters_are_omitted():
    network = Network()
    for parameter in network.first.parameters():
        parameter.requires_grad = False
    assert list(grad(loss_of)(network)) == ["last.weight", "last.bias"]
    assert list(hessian(loss_of)(network)) == ["last.weight", "last.bias"]


def test_shared_parameter_appears_once():
    class Twice(nn.Module):
        def __init__(self):
            self.one = nn.Parameter(np.array(3.0))
            self.other = self.one

        def forward(self, x):
            return self.one * self.other * x

    found = grad(lambda model: model(double(5.0)))(Twice())
    assert {name: slope.item() for name, slope in found.items()} == {"one": 30.0}


def test_parameter_shared_by_two_modules_appears_in_both_results():
    layer = nn.Linear(1, 1, bias=False)
    x, layers = Tensor([[2.0]]), (nn.Sequential(layer), nn.Sequential(nn.ReLU(), layer))
    found = grad(lambda one, other: (one(x) * other(x)).sum(), (0, 1))(*layers)
    assert [list(part) for part in found] == [["0.weight"], ["1.weight"]]
    for part in found:
        assert [slope.item() for slope in part.values()] == [pytest.approx(8 * layer.weight.item())]


def test_modules_and_tensors_can_both_be_arguments():
    network, x = Network(), double(POINTS)

    def function(network, x):
        return (network(x) ** 2).mean()

    of_network, of_x = grad(function, (0, 1))(network, x)
    assert flat(of_network).tolist() == flat(grad(loss_of)(network)).tolist()
    x.requires_grad = True
    (expected,) = function(network, x).gradient(x)
    assert of_x.tolist() == expected.tolist()


@pytest.mark.parametrize("transform", [grad, value_and_grad, hessian, jacobian])
def test_transforms_do_not_change_grad(transform):
    network = Network()
    kept = network.last.bias.grad = Tensor([7.0])
    transform(loss_of)(network)
    assert network.last.bias.grad is kept
    assert network.first.weight.grad is None


# Values, checked against closed forms, central differences and each other.


def test_higher_derivatives_of_sine():
    derivative = Tensor.sin
    for order in range(1, 9):
        derivative = grad(derivative)
        expected = math.sin(0.7 + order * math.pi / 2)
        assert derivative(double(0.7)).item() == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def curvature():
    """Return a network and the Hessian of its loss as one matrix of shape (13, 13)."""
    network = Network()
    blocks = hessian(loss_of)(network)
    names = list(blocks)
    matrix = np.block(
        [
            [blocks[row][column].data.reshape(math.prod(parameter.shape), -1) for column in names]
            for row, parameter in network.named_parameters()
        ]
    )
    return network, matrix


def test_hessian_matches_central_differences(curvature):
    network, matrix = curvature
    expected = differences(lambda network: flat(grad(loss_of)(network)), network)
    assert matrix.shape == (13, 13)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(matrix, expected, atol=1e-8)


def test_hessian_is_symmetric_with_pairwise_shapes(curvature):
    network, matrix = curvature
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
    blocks = hessian(loss_of)(network)
    assert blocks["first.weight"]["last.bias"].shape == (3, 2, 1)
    assert blocks["last.weight"]["first.weight"].shape == (1, 3, 3, 2)


def test_hvp_matches_hessian_times_vector(curvature):
    network, matrix = curvature
    generator = np.random.default_rng(2)
    direction = {n: generator.standard_normal(p.shape) for n, p in network.named_parameters()}
    found = hvp(loss_of)(network, direction)
    expected = matrix @ np.concatenate([part.ravel() for part in direction.values()])
    np.testing.assert_allclose(flat(found), expected, rtol=1e-10)
    _, along = jvp(lambda network: loss_of(network))(network, direction)
    slope = flat(grad(loss_of)(network))
    assert along.item() == pytest.approx(
        slope @ np.concatenate([*map(np.ravel, direction.values())])
    )


def test_hessian_of_two_arguments_is_nested():
    found = hessian(product, (0, 1))(double(2.0, 4.0), double(3.0))
    assert found[0][0].tolist() == [[6.0, 0.0], [0.0, 6.0]]
    assert found[0][1].tolist() == [4.0, 8.0]
    assert found[1][0].tolist() == [4.0, 8.0]
    assert found[1][1].tolist() == 0.0
    by_hvp = hvp(product, (0, 1))(double(2.0, 4.0), double(3.0), ([1.0, 10.0], 100.0))
    assert by_hvp[0].tolist() == [406.0, 860.0]
    assert by_hvp[1].item() == 84.0


def curve(x):
    """Map shape (3,) to shape (2, 2), nonlinearly."""
    return (x[:2].exp() * x[1:].reshape(2, 1).sin()) / (2 + x[0].cos())


def test_jvp_and_vjp_match_jacobian():
    generator = np.random.default_rng(3)
    x, v, u = (generator.standard_normal(shape) for shape in (3, 3, (2, 2)))
    matrix = jacobian(curve)(x)
    assert matrix.shape == (2, 2, 3)
    for position in range(3):
        step = 1e-6 * np.eye(3)[position]
        difference = (curve(double(x + step)) - curve(double(x - step))) / 2e-6
        np.testing.assert_allclose(matrix.data[..., position], difference.data, atol=1e-9)
    value, along = jvp(curve)(x, v)
    assert value.tolist() == curve(double(x)).tolist()
    np.testing.assert_allclose(along.data, matrix.data @ v, rtol=1e-12)
    value, pull = vjp(curve)(x)
    assert value.tolist() == curve(double(x)).tolist()
    np.testing.assert_allclose(pull(u).data, np.tensordot(u, matrix.data, 2), rtol=1e-12)
    np.testing.assert_allclose(pull(Tensor(2 * u)).data, 2 * pull(u).data, rtol=1e-12)


def test_nested_transforms_match_hessian_times_vector():
    def function(x):
        return curve(x).sum() * x[2]

    x, v = double(0.3, -0.5, 0.8), double(1.0, -2.0, 0.5)
    expected = hessian(function)(x).data @ v.data
    assert np.abs(expected).min() > 0.01
    for found in (
        jvp(grad(function))(x, v)[1],
        grad(lambda x: jvp(function)(x, v)[1])(x),
        vjp(grad(function))(x)[1](v),
        grad(lambda x: (grad(function)(x) * v).sum())(x),
        hvp(function)(x, v),
    ):
        np.testing.assert_allclose(found.data, expected, rtol=1e-12)


def test_jacobian_of_jacobian_holds_second_derivatives():
    found = jacobian(jacobian(lambda x: x**3))(double(1.0, 2.0))
    expected = np.zeros((2, 2, 2))
    expected[0, 0, 0], expected[1, 1, 1] = 6.0, 12.0
    assert found.tolist() == expected.tolist()
    third = jacobian(hessian(lambda x: (x**3).prod()))(double(1.0, 2.0))
    assert third.shape == (2, 2, 2)
    assert third.data[0, 0].tolist() == [48.0, 72.0]


def test_jacobian_of_jvp_by_the_tangent_is_the_jacobian():
    """The JVP is linear in the tangent t, so its Jacobian with respect to t is the Jacobian."""
    x = double(0.3, 0.5)
    along = jacobian(lambda t: jvp(Tensor.exp)(x, t)[1])(double(0.0, 0.0))
    np.testing.assert_allclose(along.data, np.diag(np.exp(x.data)))


def test_jacobian_keeps_the_structure_of_the_result():
    found = jacobian(lambda x: {"square": x * x, "both": (x, [2 * x])})(double(3.0))
    assert found["square"].item() == 6.0
    assert [found["both"][0].item(), found["both"][1][0].item()] == [1.0, 2.0]


@each("shape", [(), (0,), (1,), (2, 0)])
def test_jacobian_shape_is_output_shape_then_input_shape(shape):
    x = double(np.ones(shape))
    assert jacobian(lambda x: x * 2)(x).shape == shape + shape
    assert jacobian(lambda x: (x * 2).sum())(x).shape == shape
    assert hessian(lambda x: (x**3).sum())(x).shape == shape + shape


# Nested transforms have separate variables.


def test_inner_function_uses_outer_variable():
    """The second inner gradient is x at y = x, not 2x; the third is 2x², with derivative 4x."""
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0).item() == 1.0
    assert grad(lambda x: grad(lambda y: x * y)(x))(3.0).item() == 1.0
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(3.0).item() == 12.0


def test_one_tensor_may_be_two_arguments():
    x = leaf(3.0)
    of_first, of_second = grad(lambda a, b: a * a * b, (0, 1))(x, x)
    assert (of_first.item(), of_second.item()) == (18.0, 9.0)
    assert grad(lambda a, b: a * a * b)(x, x).item() == 18.0


def test_closed_over_tensor_is_not_the_argument():
    """A tensor that the function closes over is a separate variable from the argument."""
    x = leaf(3.0)
    assert grad(lambda y: x * x * y)(x).item() == 9.0
    assert jvp(lambda y: x * y)(x, 1.0)[1].item() == 3.0
    assert hvp(lambda y: x * y * y)(x, 1.0).item() == 6.0


# Constant and trivial functions.

CONSTANT = {
    "another tensor": lambda x: double(2.0),
    "an integer": lambda x: x.argmax(),
    "cut off": lambda x: (x.detach() * 2).sum(),
    "a sign": lambda x: x.sign().sum(),
}


@pytest.mark.parametrize("function", CONSTANT.values(), ids=CONSTANT)
def test_constant_functions_have_zero_derivatives(function):
    x, v = double(1.0, 2.0), double(3.0, 4.0)
    value = function(x)
    zeros = [
        grad(function)(x),
        value_and_grad(function)(x)[1],
        vjp(function)(x)[1](value),
        jacobian(function)(x),
        hvp(function)(x, v),
    ]
    assert [zero.tolist() for zero in zeros] == [[0.0, 0.0]] * 5
    assert hessian(function)(x).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    found, along = jvp(function)(x, v)
    assert (found.item(), found.dtype) == (value.item(), value.dtype)
    assert along.tolist() == 0.0


def test_unused_argument_has_zeros_of_its_shape_and_dtype():
    unused = Tensor(np.ones((2, 3), np.float32))
    _, zeros = grad(lambda x, y: (x * x).sum(), (0, 1))(double(1.0, 2.0), unused)
    assert (zeros.shape, zeros.dtype) == ((2, 3), np.float32)
    assert not zeros.data.any()


def test_transforms_accept_the_identity_function():
    x = double(2.0)
    assert grad(lambda x: x)(x).item() == 1.0
    assert grad(lambda x: x)(leaf(2.0)).item() == 1.0
    assert vjp(lambda x: x)(x)[1](5.0).item() == 5.0
    assert jvp(lambda x: x)(x, 5.0)[1].item() == 5.0
    assert jacobian(lambda x: x)(double(1.0, 2.0)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert hvp(lambda x: x)(x, 5.0).item() == 0.0
    assert hessian(lambda x: x)(x).item() == 0.0
    assert grad(lambda model: model.only)(Holder())["only"].item() == 1.0


class Holder(nn.Module):
    """A module with one scalar parameter."""

    def __init__(self):
        self.only = nn.Parameter(np.array(2.0))


# Results with and without a graph.


def results_of(x, v=1.0):
    """Return the values and derivatives of x³ from every transform."""

    def cube(x):
        return x * x * x

    value, slope = value_and_grad(cube)(x)
    at, pull = vjp(cube)(x)
    beside, along = jvp(cube)(x, v)
    second = hessian(cube)(x), hvp(cube)(x, v)
    return [grad(cube)(x), value, slope, at, pull(v), beside, along, jacobian(cube)(x), *second]


def test_results_have_no_graph_by_default():
    for x in (2.0, np.array(2.0), double(2.0)):
        assert not any(result.requires_grad for result in results_of(x))


def test_argument_that_requires_grad_gives_results_a_graph():
    x = leaf(2.0)
    expected = [12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 6.0, 6.0]
    slopes = [result.gradient(x)[0].item() for result in results_of(x)]
    assert slopes == expected


def test_tangent_that_requires_grad_gives_derivatives_a_graph():
    v = leaf(1.0)
    asked = [result.requires_grad for result in results_of(double(2.0), v)]
    assert asked == [False] * 4 + [True, False, True, False, False, True]
    results = [result for result in results_of(double(2.0), v) if result.requires_grad]
    assert [result.gradient(v)[0].item() for result in results] == [12.0, 12.0, 12.0]


def test_closed_over_tensor_that_requires_grad_gives_results_a_graph():
    w, x, v = leaf(3.0), double(2.0), 1.0

    def function(x):
        return w * x * x * x

    results = [
        grad(function)(x),
        value_and_grad(function)(x)[0],
        vjp(function)(x)[1](v),
        jvp(function)(x, v)[1],
        jacobian(function)(x),
        hessian(function)(x),
        hvp(function)(x, v),
    ]
    slopes = [result.gradient(w)[0].item() for result in results]
    assert slopes == [12.0, 8.0, 12.0, 12.0, 12.0, 12.0, 12.0]


def test_module_argument_gives_results_no_graph():
    network = Network()
    assert not any(slope.requires_grad for slope in grad(loss_of)(network).values())
    value, _ = value_and_grad(loss_of)(network)
    assert not value.requires_grad
    of_x = grad(lambda x, network: network(x).sum())(double(POINTS), network)
    assert of_x.requires_grad


def test_inner_transform_of_constants_gives_no_graph():
    found = grad(lambda x: x * grad(lambda y: y * y)(3.0))(2.0)
    assert found.item() == 6.0
    assert not found.requires_grad


@pytest.mark.parametrize("x", [double(2.0), leaf(2.0)])
@pytest.mark.parametrize("v", [1.0, leaf(1.0)])
def test_results_have_no_graph_inside_no_grad(x, v):
    expected = [result.item() for result in results_of(double(2.0))]
    with no_grad():
        results = results_of(x, v)
    assert not any(result.requires_grad for result in results)
    assert [result.item() for result in results] == expected


def test_no_grad_inside_a_function_detaches():
    def function(x):
        with no_grad():
            inner = grad(lambda y: y * y * y)(x)
        return inner * x

    assert grad(function)(2.0).item() == 12.0
    with no_grad(), enable_grad():
        assert grad(lambda x: x * x)(leaf(2.0)).requires_grad


def test_vjp_can_be_called_repeatedly():
    x = leaf(2.0)
    _, pull = vjp(lambda x: x**3)(x)
    first, second = pull(1.0), pull(10.0)
    assert [first.item(), second.item()] == [12.0, 120.0]
    assert second.gradient(x)[0].item() == 120.0
    assert x.grad is None


# Gradient penalty.


def penalty_of(critic, points):
    """Return the mean of (|d critic / d point| - 1)²: Gulrajani et al. 2017, equation 3."""
    slopes = grad(lambda x: critic(x).sum())(points)
    return (((slopes * slopes).sum(1).sqrt() - 1) ** 2).mean()


def test_gradient_penalty_matches_central_differences():
    critic, points = Network(seed=4), double(POINTS)
    found = flat(grad(penalty_of)(critic, points))
    expected = differences(lambda critic: penalty_of(critic, points).data, critic)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-8)
    value = penalty_of(critic, points)
    value.backward()
    by_backward = [p.grad for p in critic.parameters() if p is not critic.last.bias]
    assert critic.last.bias.grad is None or critic.last.bias.grad.item() == 0.0
    np.testing.assert_allclose(np.concatenate([g.data.ravel() for g in by_backward]), found[:-1])


# Threads and exceptions.


class FailedError(Exception):
    """An error raised by a test function."""


def test_exception_restores_state():
    def fail(*_):
        raise FailedError

    for transform in (grad, value_and_grad, vjp, jacobian, hessian):
        with pytest.raises(FailedError):
            transform(fail)(2.0)
        with pytest.raises(FailedError):
            grad(lambda x, transform=transform: transform(fail)(x))(2.0)
    for transform in (jvp, hvp):
        with pytest.raises(FailedError):
            transform(fail)(2.0, 1.0)
    assert transforms._inside.depth == 0
    assert not any(slope.requires_grad for slope in grad(loss_of)(Network()).values())


def test_transforms_on_different_threads_are_independent():
    found = []

    def run():
        found.extend(grad(loss_of)(Network()).values())

    def function(x):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        inner = grad(loss_of)(Network())
        assert all(slope.requires_grad for slope in inner.values())
        return x * x

    assert grad(function)(3.0).item() == 6.0
    assert [slope.requires_grad for slope in found] == [False] * 4


# Invalid arguments.


@pytest.mark.slow
@each("argnum", [2, -1, (0, 2), (), (0, 0), 1.5, "x", None])
@each("transform", [grad, value_and_grad, vjp, jacobian, hessian], ids=lambda t: t.__name__)
def test_invalid_argnum_raises(transform, argnum):
    message = r": expected `argnum` to be one or more distinct positions >= 0 and < 2, .*, got "
    with pytest.raises(ArgumentError, match=message):
        transform(product, argnum)(1.0, 2.0)


@pytest.mark.parametrize("transform", [jvp, hvp], ids=lambda t: t.__name__)
def test_invalid_tangents_raise(transform):
    def fails(error, message, function, *args, argnum=0):
        with pytest.raises(error, match=f"{transform.__name__}.*{message}"):
            transform(function, argnum)(*args)

    def square(x):
        return (x * x).sum()

    two = double(1.0, 2.0)
    fails(
        ArgumentError,
        r"expected the arguments .* followed by a tangent, got 1 arguments\.",
        square,
        two,
    )
    fails(ArgumentError, r"got 0 arguments\.", square)
    fails(ArgumentError, r"`argnum` .* < 1, .* arguments, got 1\.", square, two, two, argnum=1)
    expected = r"expected a tangent of shape \(2,\) and dtype float64, to match its argument, got "
    fails(ShapeError, expected + r"\(3,\) float64\.", square, two, np.ones(3))
    fails(ShapeError, expected + r"\(2,\) float32\.", square, two, Tensor.ones(2))
    both = two, two
    message = r"expected 2 tangents, got 1\."
    fails(ArgumentError, message, product, *both, (two,), argnum=(0, 1))
    fails(ArgumentError, message, product, *both, two, argnum=(0, 1))
    message = r"tangent of a module to be a dict with the keys \['first.weight', .*\], one Tensor"
    fails(ArgumentError, message, loss_of, Network(), two)
    fails(ArgumentError, message, loss_of, Network(), {"first.weight": np.ones((3, 2))})


@each(
    ("transform", "args"),
    [(t, (double(1.0),)) for t in (grad, value_and_grad, vjp, jacobian)]
    + [(t, (double(1.0), 1.0)) for t in (jvp, hvp)],
    ids=lambda value: getattr(value, "__name__", ""),
)
@each("value", [3.0, None, "text", np.ones(2)], ids=repr)
def test_function_that_returns_no_tensor_raises(transform, args, value):
    message = rf"expected the function to return (a Tensor|Tensors), got {type(value).__name__}"
    with pytest.raises(DtypeError, match=rf"^{transform.__name__}: {message}\.$"):
        transform(lambda x: value)(*args)


@pytest.mark.parametrize(
    ("transform", "args"),
    [(t, (double(1.0, 2.0),)) for t in (grad, value_and_grad, hessian)]
    + [(hvp, (double(1.0, 2.0), [1.0, 1.0]))],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_function_that_returns_several_numbers_raises(transform, args):
    message = r"expected the function to return one number, got shape \(2,\)\. .* or use jacobian"
    with pytest.raises(ShapeError, match=message):
        transform(lambda x: x * 2)(*args)


def test_integer_argument_raises():
    with pytest.raises(
        DtypeError, match=r"grad: expected argument 1 to have a float dtype, got int64"
    ):
        grad(product, (0, 1))(1.0, 2)

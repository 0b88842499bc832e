"""All transforms compared with torch.func, over arguments and modules."""

import numpy as np
import pytest

from tests.oracle.compare import agree
from tests.oracle.pytorch import torch
from tinygrad_np import Tensor, nn, transforms

# PyTorch's forward mode uses a deprecated part of torch.jit.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

# Functions of two vectors of one length, with scalar results, then with array results. They are
# written the same way on both sides.
NUMBERS = {
    "a polynomial": lambda x, y: (x**3 * y**2 - x * y).sum(),
    "a quotient": lambda x, y: (x / (1 + y * y)).sum() * (x * y).mean(),
    "nested": lambda x, y: (1 + (x * y).sin().exp() + x.tanh()).log().sum(),
    "a norm": lambda x, y: ((x - y) ** 2).sum().sqrt(),
    "softmax": lambda x, y: (x.softmax(0) * y.log_softmax(0)).sum(),
    "matrices": lambda x, y: (x.reshape(-1, 1) @ y.reshape(1, -1)).sigmoid().sum(),
    "maxima": lambda x, y: x.max() * y.min(),
    "linear": lambda x, y: (2 * x - y).sum(),
    "independent of y": lambda x, y: (x * x).sum(),
}
ARRAYS = {
    "products": lambda x, y: x.reshape(-1, 1) * y * x,
    "softmax": lambda x, y: (x * y).softmax(0),
    "slices": lambda x, y: x[1:] * y[:-1].exp(),
    "product": lambda x, y: (x * y).prod(),
}
ARGNUMS = [0, 1, (0, 1), (1, 0), (1,)]
each_argnum = pytest.mark.parametrize("argnum", ARGNUMS, ids=str)
each_number = pytest.mark.parametrize("name", NUMBERS)
each_function = pytest.mark.parametrize("name", {**NUMBERS, **ARRAYS})


def sides(*shapes, seed=0):
    """Return random numbers as our Tensors and as PyTorch's."""
    generator = np.random.default_rng(seed)
    arrays = [generator.standard_normal(shape) for shape in shapes or (4, 4)]
    return [Tensor(array) for array in arrays], [torch.tensor(array) for array in arrays]


def all_agree(found, expected):
    """Compare nested tuples, lists and dicts with PyTorch's."""
    if isinstance(found, Tensor):
        agree([found], [expected])
    elif isinstance(found, dict):
        assert list(found) == list(expected)
        for name, part in found.items():
            all_agree(part, expected[name])
    else:
        assert len(found) == len(expected)
        for part, other in zip(found, expected, strict=True):
            all_agree(part, other)


@each_argnum
@each_number
def test_gradients_and_hessian_match_pytorch(name, argnum):
    ours, theirs = sides()
    function = NUMBERS[name]
    expected, value = torch.func.grad_and_value(function, argnum)(*theirs)
    all_agree(transforms.grad(function, argnum)(*ours), expected)
    all_agree(transforms.value_and_grad(function, argnum)(*ours), (value, expected))
    expected = torch.func.hessian(function, argnum)(*theirs)
    all_agree(transforms.hessian(function, argnum)(*ours), expected)


@each_argnum
@each_function
def test_jacobian_matches_pytorch(name, argnum):
    ours, theirs = sides()
    function = {**NUMBERS, **ARRAYS}[name]
    expected = torch.func.jacrev(function, argnum)(*theirs)
    all_agree(transforms.jacobian(function, argnum)(*ours), expected)


@each_number
def test_hvp_matches_pytorch(name):
    ours, theirs = sides()
    (v, w), (v_theirs, w_theirs) = sides(seed=1)
    function = NUMBERS[name]
    of_both = torch.func.grad(function, (0, 1))
    _, expected = torch.func.jvp(of_both, tuple(theirs), (v_theirs, w_theirs))
    all_agree(transforms.hvp(function, (0, 1))(*ours, (v, w)), expected)
    of_first = torch.func.grad(lambda x: function(x, theirs[1]))
    _, expected = torch.func.jvp(of_first, (theirs[0],), (v_theirs,))
    all_agree(transforms.hvp(function)(*ours, v), expected)


@each_function
def test_vjp_and_jvp_match_pytorch(name):
    ours, theirs = sides()
    (v, w), (v_theirs, w_theirs) = sides(seed=1)
    function = {**NUMBERS, **ARRAYS}[name]
    expected, pull_theirs = torch.func.vjp(function, *theirs)
    upstream = np.random.default_rng(2).standard_normal(tuple(expected.shape))
    value, pull = transforms.vjp(function, (0, 1))(*ours)
    all_agree((value, pull(upstream)), (expected, pull_theirs(torch.tensor(upstream))))
    expected = torch.func.jvp(function, tuple(theirs), (v_theirs, w_theirs))
    all_agree(transforms.jvp(function, (0, 1))(*ours, (v, w)), expected)


def test_jacobian_of_nested_results_matches_pytorch():
    ours, theirs = sides()

    def function(x, y):
        return {"a": x * y, "b": ((x * x).sum(), y.exp())}

    expected = torch.func.jacrev(function, (0, 1))(*theirs)
    found = transforms.jacobian(function, (0, 1))(*ours)
    all_agree(found, expected)


@pytest.mark.parametrize("depth", [3, 4])
@each_number
def test_higher_order_derivatives_match_pytorch(name, depth):
    """Repeated derivatives with respect to x, along y."""

    def nested(grad, function, y):
        derivative = lambda x: function(x, y)  # noqa: E731
        for _ in range(depth):
            derivative = (lambda inner: lambda x: (grad(inner)(x) * y).sum())(derivative)
        return derivative

    ours, theirs = sides()
    found = nested(transforms.grad, NUMBERS[name], ours[1])(ours[0])
    expected = nested(torch.func.grad, NUMBERS[name], theirs[1])(theirs[0])
    agree([found], [expected])


@pytest.mark.parametrize(
    "nested",
    [
        lambda f: f.grad(lambda x: x * f.grad(lambda y: x + y)(x)),
        lambda f: f.grad(lambda x: f.grad(lambda y: x * y)(x)),
        lambda f: f.grad(lambda x: f.grad(lambda y: (x * y * y).sin())(2 * x) * x),
        lambda f: f.grad(lambda x: x * f.grad(lambda y: f.grad(lambda z: x * y * z**3)(y))(x)),
        lambda f: f.grad(lambda x: f.jacrev(lambda y: x * y * y)(x.exp())),
        lambda f: f.jacrev(lambda x: f.grad(lambda y: (y**3 * x).sum())(x.sin())),
    ],
)
def test_inner_functions_of_outer_variables_match_pytorch(nested):
    class Ours:
        grad = staticmethod(transforms.grad)
        jacrev = staticmethod(transforms.jacobian)

    agree(
        [nested(Ours)(Tensor(np.array(0.7)))],
        [nested(torch.func)(torch.tensor(0.7, dtype=torch.float64))],
    )


def test_transforms_of_a_module_match_pytorch():
    ours = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).astype(np.float64)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    theirs = theirs.double()
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})
    (x,), (x_theirs,) = sides((5, 3))
    parameters = dict(theirs.named_parameters())

    def loss(parameters):
        out = torch.func.functional_call(theirs, parameters, (x_theirs,))
        return (out**4).mean()

    found = transforms.hessian(lambda model: (model(x) ** 4).mean())(ours)
    all_agree(found, torch.func.hessian(loss)(parameters))
    found = transforms.jacobian(lambda model: model(x))(ours)
    jacobian = torch.func.jacrev(lambda p: torch.func.functional_call(theirs, p, (x_theirs,)))
    all_agree(found, jacobian(parameters))

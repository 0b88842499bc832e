"""Arguments may be passed by the names of PyTorch, NumPy and tinygrad."""

import inspect

import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import Tensor, op, ops
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import DtypeError
from tinygrad_np.frontend import functions
from tinygrad_np.nn import functional
from tinygrad_np.synonyms import SYNONYMS

X = Tensor([[1.0, 5.0], [4.0, 2.0]])
# PyTorch's method `where` has other arguments, so the names of tinygrad's have no synonyms.
METHODS = [
    name
    for name in sorted(set(dir(Tensor)) - set(dir(Variable)) - {"where"})
    if not name.startswith("_") and callable(getattr(X, name, None))
]
FUNCTIONS = [name for name in functions.__all__ if callable(getattr(functions, name))]


def outcome(call, arguments):
    """Return a description of the result or the error."""
    try:
        result = call(**arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"{type(result).__name__} of shape {getattr(result, 'shape', None)}"


def refused(call):
    """Return the names of arguments that `call` does not treat as its own parameter.

    The calls pass an invalid value, so most of them raise an error about it, the same one by each
    name.
    """
    signature = getattr(call, "signature", None) or inspect.signature(call)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    own = {p.name for p in parameters}
    needed = [p.name for p in parameters if p.default is p.empty and "VAR" not in p.kind.name]
    value = object()
    found = []
    for parameter in parameters:
        name = parameter.name
        synonyms = set(SYNONYMS.get(name, ()))
        # Copies, because some functions change their input in place.
        others = {key: X.clone() for key in needed if key != name}
        expected = outcome(call, {**others, name: value})
        if "keyword" in expected and (synonyms or parameter.kind is not parameter.VAR_POSITIONAL):
            found.append(name)
        for synonym in sorted(synonyms - own - {"self"}):
            if outcome(call, {**others, synonym: value}) != expected:
                found.append(synonym)
    return found


@each("name", METHODS)
def test_methods_accept_all_synonyms(name):
    assert refused(getattr(X.clone(), name)) == []


@each("name", FUNCTIONS)
def test_functions_accept_all_synonyms(name):
    assert refused(getattr(tinygrad_np, name)) == []


@each("name", functional.__all__)
def test_functions_of_nn_accept_all_synonyms(name):
    assert refused(getattr(functional, name)) == []


def test_refused_names_are_noticed():
    assert refused(lambda axis: X.sum(axis)) == ["dim", "dims"]
    assert refused(lambda x, /: x) == ["x", "a", "input"]


def test_tensors_and_sizes_may_be_passed_by_name():
    assert X.matmul(other=X).tolist() == tinygrad_np.matmul(input=X, other=X).tolist()
    assert tinygrad_np.ones_like(input=X).tolist() == tinygrad_np.div(input=X, other=X).tolist()
    assert X.flip(dims=(0,)).tolist() == X.roll(1, axis=0).tolist() == [[4.0, 2.0], [1.0, 5.0]]
    assert tinygrad_np.zeros(size=(2, 3)).shape == Tensor.zeros(shape=(2, 3)).shape == (2, 3)
    assert X.new_zeros(size=4).shape == X.reshape(size=4).shape == (4,)


def test_an_argument_given_twice_raises():
    with pytest.raises(DtypeError, match=r"sum: expected the inputs .* the keywords"):
        X.sum(axis=1, dim=0)
    with pytest.raises(DtypeError, match=r"sum: expected the inputs .* got 2 positional"):
        X.sum(1, dim=0)
    with pytest.raises(TypeError, match="dim"):
        X.var(axis=1, dim=0)


@each(
    "call",
    [
        lambda: X.sum(dim=0, dims=1),
        lambda: X.clip(min=2, a_min=3),
        lambda: X.std(ddof=0, unbiased=True),
        lambda: X.permute(dims=(1, 0), axes=(0, 1)),
    ],
)
def test_two_synonyms_of_one_argument_raise(call):
    with pytest.raises(TypeError, match=r"dims|a_min|unbiased|permute"):
        call()


@each(
    "call",
    [
        lambda: X.norm(order=1),
        lambda: X.sum(axes=1),
        lambda: X.clip(low=0),
        lambda: X.lerp(stop=X, weight=0.5),
        lambda: Tensor([1, 2, 3, 4]).unflatten(0, shape=(2, 2)),
        lambda: Tensor.randint(2, min=0, max=3),
    ],
)
def test_names_of_other_arguments_raise(call):
    with pytest.raises(TypeError, match=r"order|axes|low|stop|shape|min"):
        call()


def test_a_name_that_may_mean_two_options_raises():
    @op("x")
    def pick(x, *, dim=0, axis=0):
        return x + dim + axis

    assert pick(X, dim=1, axis=2).tolist() == (X + 3).tolist()
    with pytest.raises(DtypeError, match=r"pick: .*'dims'"):
        pick(X, dims=1)


@each("name", ["order", "dims", "axes"])
def test_permute_accepts_the_names_of_every_library(name):
    assert X.permute(**{name: (1, 0)}).tolist() == X.T.tolist()


def test_the_names_of_one_functions_argument_belong_to_it_alone():
    """`exponent` is the power, not any second input, and `dims` of tile are counts, not axes."""
    assert tinygrad_np.pow(input=X, exponent=2).tolist() == (X * X).tolist()
    assert tinygrad_np.tile(X, dims=(1, 2)).shape == X.tile(reps=(1, 2)).shape == (2, 4)
    for call in (
        lambda: ops.mul(X, exponent=2.0),
        lambda: tinygrad_np.maximum(X, exponent=X),
        lambda: ops.tile(X, axis=(1, 2)),
        lambda: tinygrad_np.tile(X, axis=(1, 2)),
    ):
        with pytest.raises(TypeError):
            call()

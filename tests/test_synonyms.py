"""Arguments may be passed by the names of PyTorch, NumPy and tinygrad."""

import inspect

import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import Tensor
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import DtypeError
from tinygrad_np.frontend import functions
from tinygrad_np.synonyms import GROUPS

X = Tensor([[1.0, 5.0], [4.0, 2.0]])
METHODS = [
    name
    for name in sorted(set(dir(Tensor)) - set(dir(Variable)))
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
    needed = {p.name: X for p in parameters if p.default is p.empty and "VAR" not in p.kind.name}
    value = object()
    found = []
    for parameter in parameters:
        name = parameter.name
        synonyms = {other for group in GROUPS if name in group for other in group}
        others = {key: x for key, x in needed.items() if key != name}
        expected = outcome(call, {**others, name: value})
        if "keyword" in expected and (synonyms or parameter.kind is not parameter.VAR_POSITIONAL):
            found.append(name)
        for synonym in sorted(synonyms - own - {"self"}):
            if outcome(call, {**others, synonym: value}) != expected:
                found.append(synonym)
    return found


@each("name", METHODS)
def test_methods_accept_all_synonyms(name):
    assert refused(getattr(X, name)) == []


@each("name", FUNCTIONS)
def test_functions_accept_all_synonyms(name):
    assert refused(getattr(tinygrad_np, name)) == []


def test_refused_names_are_noticed():
    assert refused(lambda axis: X.sum(axis)) == ["axes", "dim", "dims", "order"]
    assert refused(lambda x, /: x) == ["x", "a", "input"]


def test_tensors_and_sizes_may_be_passed_by_name():
    assert X.matmul(other=X).tolist() == tinygrad_np.matmul(input=X, other=X).tolist()
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

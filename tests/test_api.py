"""Every name listed in tests/API.md exists, with the signature given there."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import Tensor

PAGE = (Path(__file__).with_name("API.md")).read_text(encoding="utf-8")
METHODS = PAGE[PAGE.index("## Tensor methods") : PAGE.index("## Custom ops")]
NN = PAGE[PAGE.index("## nn") : PAGE.index("## optim")]
OPTIM = PAGE[PAGE.index("## optim") : PAGE.index("## Elsewhere")]
ELSEWHERE = PAGE[PAGE.index("## Elsewhere") :]


def rows(text):
    """Return the cells of all table rows, without the header rows."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [cells for cells in found if cells[0] not in ("name", "where") and "---" not in cells[0]]


def names(text):
    """Return the identifiers in backticks."""
    quoted = re.findall(r"`([^`]+)`", text)
    return [word for part in quoted for word in part.split() if word.isidentifier()]


def plain_methods():
    """Return the methods listed in lines that start with "Same as PyTorch:"."""
    return [
        name
        for line in METHODS.splitlines()
        if line.startswith("Same as PyTorch:")
        for name in names(line)
    ]


def signed_methods():
    """Return the methods in the tables, each with its signature without self, or ''."""
    return [(names(cells[0])[0], cells[1].strip("`")) for cells in rows(METHODS)]


EVERY_METHOD = [*plain_methods(), *(name for name, _ in signed_methods())]


def test_api_list_is_parsed():
    assert len(EVERY_METHOD) == len(set(EVERY_METHOD)) > 150
    assert {"add", "zeros", "einsum", "cross_entropy", "max_unpool2d", "inv"} <= set(EVERY_METHOD)


def without_a_runnable_line(where, wanted):
    """Return the names that are missing or have no example in their docstring."""
    found = [getattr(where, name, None) for name in wanted]
    pairs = zip(wanted, found, strict=True)
    return [name for name, value in pairs if ">>>" not in (getattr(value, "__doc__", "") or "")]


def test_methods_have_examples():
    assert without_a_runnable_line(Tensor, EVERY_METHOD) == []
    assert all(callable(getattr(Tensor, name)) for name in EVERY_METHOD)


@pytest.mark.slow
@each(("name", "signature"), [s for s in signed_methods() if s[1]])
def test_methods_have_the_listed_signature(name, signature):
    """Check names, order and defaults; more parameters at the end, such as generator, are fine."""
    text = signature.replace("float32", "None").replace("int64", '"int64"')
    expected = ast.parse(f"def f{text}: pass").body[0].args
    method = inspect.signature(getattr(Tensor, name))
    found = list(method.parameters.values())
    is_bound = inspect.ismethod(getattr(Tensor, name)) or name in ("einsum", "manual_seed")
    found = found if is_bound else found[1:]
    wanted = [arg.arg for arg in expected.args]
    positional = [p for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional][: len(wanted)] == wanted
    defaults = dict(
        zip(wanted[len(wanted) - len(expected.defaults) :], expected.defaults, strict=True)
    )
    defaults |= dict(zip((a.arg for a in expected.kwonlyargs), expected.kw_defaults, strict=True))
    by_name = method.parameters
    for key, value in defaults.items():
        default = by_name[key].default
        if isinstance(value, ast.Constant) and value.value == "int64":
            assert default == "int64" or default.__name__ == "int64"
        else:
            assert default == ast.literal_eval(value)
    if expected.vararg is not None:
        assert any(p.kind is p.VAR_POSITIONAL for p in found)


NN_NAMES = [
    name
    for cells in rows(NN)
    for name in names(cells[0])
    if name not in ("init", "utils", "functional")
]
FUNCTIONS = NN[NN.index("`nn.functional`: ") :]


def test_nn_names_have_examples():
    assert len(NN_NAMES) > 20
    assert without_a_runnable_line(tinygrad_np.nn, NN_NAMES) == []


def test_module_methods_and_initializers():
    (module,) = (cells[1] for cells in rows(NN) if "ModuleList" in cells[0])
    for name in re.findall(r"(\w+)\(", module):
        assert callable(getattr(tinygrad_np.nn.Module, name))
    (initialisers,) = (cells[1] for cells in rows(NN) if cells[0] == "`init`")
    for name in names(initialisers):
        assert "generator" in inspect.signature(getattr(tinygrad_np.nn.init, name)).parameters or (
            name.strip("_") in ("zeros", "ones", "constant")
        )


def test_list_of_functions_is_complete():
    assert sorted(names(FUNCTIONS)) == sorted(tinygrad_np.nn.functional.__all__)


OPTIM_NAMES = [
    name for name in re.findall(r"`(\w+)(?:\([^`]*\))?`", OPTIM) if not name[0].islower()
] + [name for line in re.findall(r"`([A-Z]\w+(?: \w+)+)`", OPTIM) for name in line.split()]
OPTIM_NAMES += ["clip_grad_norm", "clip_grad_value", "decay_groups", "l1_norm"]


def test_optimizer_list_is_parsed():
    assert {"SGD", "Adam", "Muon", "LAMB", "StepLR", "SequentialLR"} <= set(OPTIM_NAMES)


def test_optim_names_have_examples():
    assert without_a_runnable_line(tinygrad_np.optim, OPTIM_NAMES) == []


@each(
    ("where", "name"),
    [
        (re.findall(r"`([^`]+)`", cells[0])[0], name)
        for cells in rows(ELSEWHERE)
        for name in names(cells[1])
    ],
)
def test_names_in_other_modules_exist(where, name):
    assert getattr(importlib.import_module(where), name) is not None


ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"]


@each("name", [*ARITHMETIC, "and", "or", "xor", "lshift", "rshift"])
def test_binary_and_reflected_operators_exist(name):
    assert callable(getattr(Tensor, f"__{name}__"))
    assert callable(getattr(Tensor, f"__r{name}__"))


@each("name", ["invert", "neg", "abs", "lt", "le", "gt", "ge", "eq", "ne"])
def test_other_operators_exist(name):
    assert callable(getattr(Tensor, f"__{name}__"))

"""Public names: packages export only the names in `__all__` and their submodules."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import tinygrad_np
from tests.tools import each

ROOT = Path(tinygrad_np.__file__).parent


def _is_public(name):
    return not any(part.startswith("_") for part in name.split("."))


FOUND = [
    module
    for module in pkgutil.walk_packages([str(ROOT)], "tinygrad_np.")
    if _is_public(module.name)
]
MODULES = ["tinygrad_np", *(module.name for module in FOUND)]
PACKAGES = ["tinygrad_np", *(module.name for module in FOUND if module.ispkg)]


@each(
    ("name", "hint"),
    [
        ("save", r"Use train\.save\(path, model\.state_dict\(\)\)"),
        ("load", r"Use train\.load\(path\)"),
        ("set_grad_enabled", r"Use `with enable_grad\(\):` or `with no_grad\(\):`\.$"),
        ("func", r"Use tinygrad_np\.transforms: grad, vjp, jvp, jacobian, hessian and others\.$"),
        ("utils", r"Use tinygrad_np\.data for .*, or tinygrad_np\.checkpoint\.$"),
        ("unknown", r"attribute 'unknown'$"),
    ],
)
def test_names_of_pytorch_that_are_missing_name_a_replacement(name, hint):
    with pytest.raises(AttributeError, match=hint):
        getattr(tinygrad_np, name)


def test_packages_are_found():
    names = {"ops", "nn", "optim", "data", "train", "viz", "runtime", "autograd", "kernels", "cli"}
    assert {f"tinygrad_np.{name}" for name in names} < set(MODULES)


@each("name", MODULES)
def test_modules_define_the_names_in_all(name):
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    assert [each for each in listed if not hasattr(module, each)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_export_no_imported_names(name):
    package = importlib.import_module(name)
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    public = {each for each in dir(package) if not each.startswith("_")}
    assert public - set(package.__all__) - submodules == set()

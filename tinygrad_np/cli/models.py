"""Look up model classes by name: those in models/, and the user's own."""

import functools
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_np import nn
from tinygrad_np.errors import ArgumentError

FORMS = "package.module:Class or path/to/file.py:Class"

_FOLDER = Path(__file__).parents[2] / "models"
# Private names in sys.modules, which cannot collide with a user's `models` or `net`.
_PACKAGE, _FILE = "_tinygrad_np_models", "_tinygrad_np_user_model"
# Frames in these directories are left out when an error in a user's code is located.
_NOT_THEIRS = (str(Path(__file__).parents[1]), str(Path(importlib.__file__).parent))


@functools.cache
def built_in_models() -> dict[str, type[nn.Module]]:
    """Return the classes in models/ by name, in alphabetical order.

    They are loaded by path, from the directory next to the package (in a checkout and in an
    installation), so a `models.py` in the working directory cannot shadow them.
    """
    module = _load_file(_PACKAGE, _FOLDER / "__init__.py")
    return {name: getattr(module, name) for name in sorted(module.__all__, key=str.lower)}


def is_spec(text: str) -> bool:
    """Return whether `text` has the form of a user's model, `module:Class` or `file.py:Class`."""
    module, _, name = text.rpartition(":")
    return bool(module) and name.isidentifier()


def absolute_spec(spec: str) -> str:
    """Return a spec that names the same class from every working directory.

    A module in the working directory gets the directory as a prefix: /home/me/package.module:Class.
    """
    if not is_spec(spec):
        return spec
    module, _, name = spec.rpartition(":")
    path = Path(module)
    first = Path(path.name.partition(".")[0])
    is_here = first.is_dir() or first.with_suffix(".py").is_file()
    if path.suffix == ".py" or path.name != module or is_here:
        return f"{path.resolve()}:{name}"
    return spec


def model_class(spec: str) -> type[nn.Module]:
    """Return the class that a spec names.

    Args:
        spec: a name from models/, `package.module:Class`, or `path/to/file.py:Class`. Modules are
            searched in the working directory first, or in the directory given as a prefix, as in
            `directory/package.module:Class`.

    Raises:
        ArgumentError: if the spec has none of these forms, or if the file or module cannot be
            imported or has no such subclass of nn.Module.
    """
    built_in = built_in_models()
    if spec in built_in:
        return built_in[spec]
    if not is_spec(spec):
        raise ArgumentError(
            f"--model: expected one of {', '.join(built_in)}, or {FORMS}, got {spec!r}."
        )
    source, _, name = spec.rpartition(":")
    module = _load_module(spec, Path(source))
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    if found is not None:
        raise ArgumentError(
            f"{spec}: expected a subclass of tinygrad_np.nn.Module, got {_describe(found)}."
        )
    others = [
        other
        for other, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    ]
    remedy = f" Try {', '.join(others)}." if others else ""
    raise ArgumentError(f"{spec}: {source} has no class {name!r}.{remedy}")


def _load_module(spec: str, path: Path) -> ModuleType:
    """Import a user's file, or a module from a directory."""
    if path.suffix == ".py" and not path.is_file():
        raise ArgumentError(f"{spec}: expected an existing Python file, got {path}.")
    try:
        with _first_on_path(path.parent):
            if path.suffix == ".py":
                return _load_file(_FILE, path)
            return importlib.import_module(path.name)
    except Exception as error:
        raise ArgumentError(
            f"{spec}: importing {path} failed with {describe_error(error)}."
        ) from error


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    """Put `folder` first on sys.path, as Python does when it runs a script from there."""
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def _load_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # true for every path that ends with .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before execution: relative imports and dataclasses look the module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _describe(value: Any) -> str:
    return f"class {value.__name__}" if isinstance(value, type) else type(value).__name__


def describe_error(error: Exception) -> str:
    """Return an error raised by a user's code on one line, with the file and line it came from."""
    places = [
        f" ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", *_NOT_THEIRS))
    ]
    text = str(error).rstrip(".")  # the caller ends the sentence
    return f"{type(error).__name__}: {text}{places[-1] if places else ''}"

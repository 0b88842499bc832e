"""Entry point of the command line: the parser and the dispatch to the commands."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_np.cli import commands
from tinygrad_np.cli.arguments import Parser, json_object, path, port
from tinygrad_np.cli.config import DATA, RunConfig, add_flag, add_flags, flag
from tinygrad_np.cli.folders import run_folder
from tinygrad_np.cli.models import FORMS, absolute_spec, built_in_models, model_class
from tinygrad_np.cli.training import config_to_resume, run_training
from tinygrad_np.console import run_program
from tinygrad_np.data.files import FORMS as FORMS_OF_FILES
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.files import is_folder
from tinygrad_np.runtime.info import show_config
from tinygrad_np.viz.dot import COLORS
from tinygrad_np.viz.folding import LEVELS

_Arguments = argparse.Namespace
_DATA_FLAGS = ("data", "image_size", "gray")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: command-line arguments; defaults to those of the process.

    Returns:
        0 on success, 1 after an error, 2 for invalid arguments, 130 after Ctrl-C, 141 if standard
        output is a closed pipe.

    Raises:
        SystemExit: for --help, with status 0.
    """

    def run() -> int | None:
        args = _parser().parse_args(arguments)
        status: int | None = args.run(args)
        return status

    return run_program(run)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m tinygrad_np",
        description="Train, evaluate and inspect the models in models/ or your own. Run a command "
        "with --help to see its arguments.",
    )
    add = parser.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser
    _train_flags(
        _command(add, "train", "train a model and write the results to a run directory", _train)
    )

    look = _command(add, "evaluate", "evaluate a trained model", _evaluate)
    _run_argument(look)
    look.add_argument(
        "--on",
        choices=["test", "validation"],
        default="test",
        metavar="NAME",
        help="split to evaluate: test, validation (default: %(default)s)",
    )
    text = "directory that contains mnist/ or fashion-mnist/"
    look.add_argument("--data-dir", metavar="DIR", help=text)
    text = "path of the run's own images, if they have moved or changed since training"
    look.add_argument("--data", metavar="PATH", help=text)
    text = "recognize handwritten digits, or the classes of your own images, in image files"
    look = _command(add, "predict", text, _predict)
    _run_argument(look)
    text = "PNG, JPEG, BMP, GIF, WebP or TIFF file: a digit, or an image like those of the run"
    look.add_argument("pictures", nargs="+", type=path, metavar="IMAGE", help=text)

    _model_argument(_command(add, "summary", "print the layers of a model", _summary))
    look = _command(add, "graph", "draw the graph of a model", _graph)
    _model_argument(look)
    _graph_flags(look)
    _model_argument(
        _command(
            add, "gradcheck", "compare a model's gradients with central differences", _gradcheck
        )
    )
    text = "draw digits, train models and explore them on a web page"
    _playground_flags(_command(add, "playground", text, _playground))
    _command(add, "config", "print versions, BLAS and thread counts", lambda args: show_config())
    return parser


def _command(add: Any, name: str, text: str, run: Callable[[_Arguments], Any]) -> Any:
    # The help of most flags fits on one line of 80 columns.
    layout = partial(argparse.HelpFormatter, max_help_position=26)
    description = text[0].upper() + text[1:] + "."
    parser = add(name, help=text, description=description, formatter_class=layout)
    parser.set_defaults(run=run)
    return parser


def _run_argument(parser: argparse.ArgumentParser) -> None:
    text = "run directory made by train, or a weights file in it"
    parser.add_argument("folder", type=path, metavar="RUN", help=text)
    text = "new location of the model's class, if it has moved since training"
    parser.add_argument("--model", metavar="NAME", help=text)


def _model_argument(parser: argparse.ArgumentParser) -> None:
    text = f"{', '.join(built_in_models())}, or your own class as {FORMS}"
    parser.add_argument("model", metavar="MODEL", help=text)
    text = "JSON object of keyword arguments for the model"
    parser.add_argument("--model-options", default={}, type=json_object, metavar="JSON", help=text)
    text = (
        f"take the image shape from this dataset: {', '.join(DATA)}, or the path of "
        f"{FORMS_OF_FILES} (default: mnist, or digits for DigitsCNN)"
    )
    for name in _DATA_FLAGS:
        add_flag(parser, name, text if name == "data" else None)


def _graph_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "output file: .svg, .png, .pdf, .dot, .json, .txt, .html (default: MODEL.svg)"
    add("--out", type=path, metavar="FILE", help=text)
    text = "draw a box per module or per op (default: %(default)s)"
    add("--level", choices=LEVELS, default="module", metavar="NAME", help=text)
    add("--depth", type=int, metavar="N", help="levels of modules to expand (0: one box)")
    text = "expand this module to ops, for example blocks.0; can be repeated"
    add("--expand", action="append", metavar="PATH", help=text)
    text = "run a backward pass and show gradients"
    add("--backward", action="store_true", help=text)
    text = f"color boxes by {', '.join(COLORS[:-1])} or {COLORS[-1]} (default: %(default)s)"
    add("--color-by", choices=COLORS, default="kind", metavar="NAME", help=text)


def _train_flags(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options]"  # the list of all flags would fill a screen
    add = add_flags(parser).add_argument
    add("--config", type=path, metavar="FILE", help="start from the settings in this config.json")
    add("--resume", type=path, metavar="DIR", help="resume the run in this directory")
    text = "run directory (default: runs/MODEL-DATA, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    text = "replace the earlier run in the directory"
    add("--overwrite", action="store_true", help=text)
    add("--no-figures", action="store_true", help="do not write figures")


def _playground_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "address to listen on (default: %(default)s, which only this machine can reach)"
    add("--host", default="127.0.0.1", metavar="HOST", help=text)
    text = "port to listen on; 0 picks a free one (default: %(default)s)"
    add("--port", type=port, default=8000, metavar="PORT", help=text)
    text = "directory that contains the runs (default: %(default)s)"
    add("--runs", type=path, default=Path("runs"), metavar="DIR", help=text)
    text = "directory that contains mnist/ or fashion-mnist/"
    add("--data-dir", metavar="DIR", help=text)
    text = f"offer your own model class to train: {FORMS}; can be repeated"
    add("--model", action="append", default=[], dest="models", metavar="NAME", help=text)


def _train(args: _Arguments) -> int:
    own = ("run", "config", "resume", "out", "overwrite", "no_figures")
    given = {name: value for name, value in vars(args).items() if name not in own}
    figures = not args.no_figures
    if args.resume is not None:
        config = _config_to_resume(args, given)
        return run_training(config, args.resume, resume=True, figures=figures)
    read = RunConfig.read
    config = read(args.config, given) if args.config else RunConfig().with_changes(given)
    # Absolute paths: the run must also load from another working directory.
    paths = {name: getattr(config, name) for name in ("weights", "corrections")}
    paths["data"] = config.data if config.reads_files else None
    absolute = {name: str(Path(value).resolve()) for name, value in paths.items() if value}
    config = config.with_changes({"model": absolute_spec(config.model), **absolute})
    default = Path("runs") / f"{config.model_name}-{config.data_name}"
    with run_folder(args.out, default, overwrite=args.overwrite) as out:
        return run_training(config, out, resume=False, figures=figures)


def _config_to_resume(args: _Arguments, given: dict[str, Any]) -> RunConfig:
    """Return the config of the run to resume.

    Only the number of epochs and the locations of the data and the model may be changed.
    """
    others = [name for name in ("config", "out", "overwrite") if getattr(args, name)]
    others += sorted(set(given) - {"epochs", "data_dir", "model"})
    if others:
        raise ArgumentError(
            "--resume: expected no flags other than --epochs, --data-dir, --model and "
            f"--no-figures, got {', '.join(map(flag, others))}. The run resumes with its own "
            "settings."
        )
    if "model" in given:
        given["model"] = absolute_spec(given["model"])
    return config_to_resume(args.resume, given)


def _evaluate(args: _Arguments) -> None:
    data = None if args.data is None else str(path(args.data).resolve())
    commands.evaluate(args.folder, args.on, args.data_dir, args.model, data)


def _predict(args: _Arguments) -> int:
    return commands.predict(args.folder, args.pictures, args.model)


def _model_config(args: _Arguments) -> RunConfig:
    given = {name: value for name, value in vars(args).items() if name in _DATA_FLAGS}
    given.setdefault("data", "digits" if args.model == "DigitsCNN" else "mnist")
    return RunConfig(model=args.model, model_options=args.model_options, **given)


def _summary(args: _Arguments) -> None:
    commands.summary(_model_config(args))


def _graph(args: _Arguments) -> int:
    config = _model_config(args)
    names = ("level", "depth", "expand", "backward", "color_by")
    options = {name: getattr(args, name) for name in names}
    return commands.graph(config, args.out or Path(f"{config.model_name}.svg"), options)


def _gradcheck(args: _Arguments) -> None:
    commands.check_gradients(_model_config(args))


def _playground(args: _Arguments) -> int:
    try:
        import flask  # noqa: F401
    except ImportError as error:
        raise DataError(
            "playground: Flask is not installed. Install it with "
            'python -m pip install "tinygrad_np[playground]".'
        ) from error
    from tinygrad_np.playground.server import serve
    from tinygrad_np.playground.settings import Settings

    if args.data_dir is not None and not is_folder(Path(args.data_dir)):
        raise ArgumentError(f"--data-dir: expected a directory, got {args.data_dir!r}.")
    for spec in args.models:
        model_class(spec)
    models = tuple(map(absolute_spec, args.models))
    return serve(Settings(args.runs, args.data_dir, models), args.host, args.port)

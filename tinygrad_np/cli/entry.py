"""The entry point of the command line: its parser, and what each command does."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinygrad_np.cli import commands
from tinygrad_np.cli.config import DATA, RunConfig, add_flags, json_object
from tinygrad_np.cli.models import FORMS, absolute_spec
from tinygrad_np.cli.training import run_training
from tinygrad_np.errors import ArgumentError, TinygradNpError
from tinygrad_np.runtime.info import show_config

_Arguments = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 after an error, 2 for arguments that do not fit, 130 after Ctrl-C.

    Arguments are those of the process, unless given.
    """
    args = _parser().parse_args(arguments)
    try:
        status = args.run(args)
        return int(status or 0)
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TinygradNpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_np",
        description="Train the models of models/ or your own, and inspect them. Each command has "
        "its --help.",
    )
    add = parser.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser
    _train_flags(_command(add, "train", "train a model, into a folder of its own", _train))

    look = _command(add, "evaluate", "evaluate a trained model", _evaluate)
    _run_argument(look)
    look.add_argument(
        "--on", choices=["test", "validation"], default="test", help="default: %(default)s"
    )
    look.add_argument("--data-dir", help="folder that holds mnist/ or fashion-mnist/")
    look = _command(add, "predict", "recognise digits in PNG or JPEG files", _predict)
    _run_argument(look)
    look.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")

    _model_argument(_command(add, "summary", "print the table of a model's layers", _summary))
    look = _command(add, "graph", "draw a model's graph", _graph)
    _model_argument(look)
    look.add_argument("--out", type=Path, help="FILE.svg, .png, .pdf or .dot; default: MODEL.svg")
    _model_argument(
        _command(
            add, "gradcheck", "check a model's gradients against central differences", _gradcheck
        )
    )
    _command(add, "config", "print versions, BLAS and threads", lambda args: show_config())
    return parser


def _command(add: Any, name: str, text: str, run: Callable[[_Arguments], Any]) -> Any:
    parser = add(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def _run_argument(parser: argparse.ArgumentParser) -> None:
    text = "folder that train has made, or a file of weights in it"
    parser.add_argument("folder", type=Path, metavar="RUN", help=text)
    text = "where the model's class is now, if the run's config.json is out of date"
    parser.add_argument("--model", metavar="NAME", help=text)


def _model_argument(parser: argparse.ArgumentParser) -> None:
    text = f"a model of models/, such as MnistCNN, or your own as {FORMS}"
    parser.add_argument("model", metavar="MODEL", help=text)
    text = "keyword arguments of the model as JSON"
    parser.add_argument("--model-options", default={}, type=json_object, metavar="JSON", help=text)
    text = "data set whose image shape the model takes (default: mnist; digits for DigitsCNN)"
    parser.add_argument("--data", choices=DATA, help=text)


def _train_flags(parser: argparse.ArgumentParser) -> None:
    add_flags(parser)
    add = parser.add_argument
    add("--config", type=Path, help="start from the settings in this config.json")
    add("--resume", type=Path, metavar="RUN", help="resume the run in this folder")
    add("--out", type=Path, help="folder of the run; default: runs/MODEL-DATA")
    add("--no-figures", action="store_true", help="no pictures")


def _train(args: _Arguments) -> int:
    given = {
        name: value
        for name, value in vars(args).items()
        if name not in ("run", "config", "resume", "out", "no_figures")
    }
    if args.resume is not None:
        return run_training(
            _config_to_resume(args, given), args.resume, resume=True, figures=not args.no_figures
        )
    config = (
        RunConfig().with_changes(given)
        if args.config is None
        else RunConfig.read(args.config, given)
    )
    # The run is found again from another working directory.
    config = config.with_changes({"model": absolute_spec(config.model)})
    out = args.out or Path("runs") / f"{config.model_name}-{config.data}"
    return run_training(config, out, resume=False, figures=not args.no_figures)


def _config_to_resume(args: _Arguments, given: dict[str, Any]) -> RunConfig:
    """Return the config of the run to resume; only the number of epochs and where things are found
    may differ.
    """
    if args.config or args.out or set(given) - {"epochs", "data_dir", "model"}:
        raise ArgumentError(
            "--resume: expected no other flags than --epochs, --data-dir, --model and "
            "--no-figures: the run resumes with its own settings."
        )
    if "model" in given:
        given["model"] = absolute_spec(given["model"])
    config = RunConfig.read(args.resume / "config.json")
    if config.steps and "epochs" in given:
        raise ArgumentError(f"--resume with --epochs: the run is of {config.steps} steps")
    if given.get("epochs", config.epochs) != config.epochs and not config.can_be_longer:
        raise ArgumentError(
            f"--resume with --epochs: the {config.schedule} schedule was laid out for "
            f"{config.epochs} epochs; only a constant one or plateau can be made longer"
        )
    return config.with_changes(given)


def _evaluate(args: _Arguments) -> None:
    commands.evaluate(args.folder, args.on, args.data_dir, args.model)


def _predict(args: _Arguments) -> None:
    commands.predict(args.folder, args.pictures, args.model)


def _model_config(args: _Arguments) -> RunConfig:
    data = args.data or ("digits" if args.model == "DigitsCNN" else "mnist")
    return RunConfig(model=args.model, model_options=args.model_options, data=data)


def _summary(args: _Arguments) -> None:
    commands.summary(_model_config(args))


def _graph(args: _Arguments) -> None:
    config = _model_config(args)
    commands.graph(config, args.out or Path(f"{config.model_name}.svg"))


def _gradcheck(args: _Arguments) -> None:
    commands.check_gradients(_model_config(args))

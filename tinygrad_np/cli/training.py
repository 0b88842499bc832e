"""The train command: assemble a run, train, and write the results to the run directory."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np import nn, train, viz
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.parts import (
    Sets,
    check_images,
    check_unchanged,
    fit_model,
    make_loader,
    make_loss,
    make_model,
    make_optimizer,
    make_schedule,
    make_sets,
    restore_normalization,
    write_data_facts,
)
from tinygrad_np.console import show
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.display import number_of
from tinygrad_np.errors import ArgumentError, DataError, NotFiniteError, ShapeError
from tinygrad_np.files import (
    check_no_folder,
    exists,
    is_folder,
    make_folder,
    read_json,
    remove,
    write_bytes,
)
from tinygrad_np.runtime.info import get_num_threads
from tinygrad_np.train.interrupts import Interrupts
from tinygrad_np.version import __version__

WEIGHTS = "model.safetensors"
SNAPSHOT = "training.safetensors"
CORRECTIONS = "corrections.safetensors"
DATA_FACTS = "data.json"
_RESULTS = ("metrics.json", "history.json", "history.csv")
# Without graph.svg, which needs Graphviz.
_FIGURES = [name for name in viz.REPORT_FILES if name != "graph.svg"]
_EVALUATED_AT_ONCE = 500


class _StopAfter(train.Callback):
    """Stop training after `steps` steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_batch_end(self, state: train.State) -> None:
        state.should_stop |= state.step >= self.steps


class _Begin(train.Callback):
    """Delete the results of an earlier run and write the new config.json.

    Runs after all other callbacks, because any of them may reject the new run.
    """

    turn = 2

    def __init__(self, config: RunConfig, sets: Sets, out: Path) -> None:
        self.config = config
        self.sets = sets
        self.out = out

    def on_fit_start(self, state: train.State) -> None:
        if state.epoch == 0:
            for name in (WEIGHTS, CORRECTIONS, DATA_FACTS, *_RESULTS, *viz.REPORT_FILES):
                remove(self.out / name)
            if self.sets.corrections is not None:
                train.save(self.out / CORRECTIONS, self.sets.corrections)
            if self.config.reads_files:
                write_data_facts(self.out / DATA_FACTS, self.sets)
        self.config.write(self.out / "config.json")


def run_training(
    config: RunConfig,
    out: Path,
    *,
    resume: bool,
    figures: bool,
    watch: Callable[[Sets], train.Callback] | None = None,
) -> int:
    """Train according to the config and write all results to `out`.

    Args:
        config: settings of the run; `make_sets` returns the datasets that they stand for.
        out: run directory.
        resume: continue the run in `out`.
        figures: draw figures of the results.
        watch: returns a callback that watches or steers the run, given the run's datasets. It
            replaces the lines of `train.Progress`. It must be stateless, so the run can be resumed
            without it. A KeyboardInterrupt raised in its `on_batch_end` acts like Ctrl-C, in any
            thread.

    Returns:
        The exit status: 0 on success, 1 if the loss or, with --clip-norm, the gradient norm became
        inf or nan, 130 after Ctrl-C. In each case, the results so far are written.
    """
    files = (
        WEIGHTS,
        CORRECTIONS,
        DATA_FACTS,
        *_RESULTS,
        *viz.REPORT_FILES,
        "config.json",
        "steps.csv",
    )
    check_no_folder(*(out / name for name in files))
    start = time.perf_counter()
    # The run's own copy of the corrections: more may have been saved since it started.
    has_copy = resume and config.corrections is not None
    copy = {"corrections": str(out / CORRECTIONS)} if has_copy else {}
    sets = make_sets(config.with_changes(copy))
    if resume and config.reads_files:
        sets = restore_normalization(sets, out / DATA_FACTS)
        remedy = "Restore the files, or start a new run."
        check_unchanged(sets, out / DATA_FACTS, ("train", "test"), remedy)
    config = fit_model(config, sets.train)
    seconds = {"loading": time.perf_counter() - start}
    _report_sets(config, sets, seconds["loading"])
    model = make_model(config.model, config.model_options, config.seed)
    check_images(model, config, sets.train)
    if config.weights is not None and not resume:
        load_weights(model, Path(config.weights))
    loader = make_loader(config, sets.train)
    extra = [] if watch is None else [watch(sets)]
    trainer, epochs = _trainer(config, model, loader, sets, out, extra)
    done = _load(trainer, config, epochs, out, figures=figures) if resume else 0
    make_folder(out, "--out")  # also deletes what a killed run has left
    count = sum(parameter.numel() for parameter in model.parameters())
    show(
        f"{config.model_name}: {count:,} parameters; {config.optimizer}, lr "
        f"{config.learning_rate}; files in {out}/"
    )
    start, fault = time.perf_counter(), ""
    try:
        if done < epochs:
            trainer.fit(loader, epochs - done, _evaluation(sets.validation))
    except NotFiniteError as error:
        fault = str(error)
    seconds["training"] = time.perf_counter() - start
    found = {"seconds": seconds, "fault": fault, "parameters": count, "resumed_after": done}
    try:
        return _finish(config, out, trainer, sets.test, found, figures=figures)
    except KeyboardInterrupt:
        return _report_interrupt(out)


def find_weights(run: Path) -> Path:
    """Return the weights file of a run.

    Args:
        run: run directory, which means its model.safetensors, or a weights file in one.

    Raises:
        DataError: if the file does not exist; the message says whether the run is unfinished.
    """
    path = run / WEIGHTS if is_folder(run) else run
    if exists(path):
        return path
    if exists(run / SNAPSHOT):
        raise DataError(
            f"{run}: the run is not finished, so there is no {WEIGHTS}. Resume it with "
            f"`python -m tinygrad_np train --resume {run}`, or pass a weights file in it, such "
            f"as {run / 'last.safetensors'}."
        )
    raise DataError(
        f"{path}: file not found. Expected a run directory made by `python -m tinygrad_np "
        "train`, or a weights file in one."
    )


def load_weights(model: nn.Module, run: Path) -> None:
    """Load the weights of a run into a model; `run` is as in `find_weights`.

    Raises:
        DataError: if the file is missing or damaged, or does not fit the model.
    """
    path = find_weights(run)
    state = train.load(path)
    try:
        model.load_state_dict(state)
    except ShapeError as error:
        raise DataError(f"{path}: {error}") from error


def _finish(
    config: RunConfig,
    out: Path,
    trainer: train.Trainer,
    test_set: ImageDataset,
    found: dict[str, Any],
    *,
    figures: bool,
) -> int:
    """Write weights, history, metrics and figures; return the exit status.

    The test set is evaluated only if training was completed.
    """
    model, history = trainer.model, trainer.history
    # The weights first: they must survive if anything else fails or is interrupted.
    with Interrupts() as interrupts:  # a Ctrl-C while a file is opened would leave it behind
        train.save(
            out / WEIGHTS, model.state_dict(), {"model": config.model_name, "data": config.data}
        )
        for suffix in ("json", "csv"):
            history.save(out / f"history.{suffix}")
        interrupts.check()
    logits = None
    if not (found["fault"] or history.interrupted):
        logits = train.predict(model, DataLoader(test_set, _EVALUATED_AT_ONCE))
    found |= {
        "model": config.model_name,
        "dataset": test_set.name,
        "dataset_origin": test_set.origin,
        "test_samples": len(test_set),
        "test_accuracy": None if logits is None else train.accuracy(logits, test_set.labels),
        "epochs": len(history.epochs),
        "steps": trainer.state.step,
        "interrupted": history.interrupted,
        "threads": get_num_threads(),
        "versions": {"tinygrad_np": __version__, "numpy": np.__version__},
        "config": asdict(config),
        "history": history.for_json(),
    }
    with Interrupts() as interrupts:
        write_bytes(out / "metrics.json", (json.dumps(found, indent=2) + "\n").encode())
        if figures:  # without them, the run is complete
            interrupts.check()
    if figures and logits is not None:
        _draw(out, model, test_set, logits, history)
    return _close(config, found, out)


def _trainer(
    config: RunConfig,
    model: nn.Module,
    loader: DataLoader,
    sets: Sets,
    out: Path,
    extra: list[train.Callback],
) -> tuple[train.Trainer, int]:
    """Return the trainer of a run and the number of epochs."""
    steps = config.steps or config.epochs * len(loader)
    epochs = -(-steps // len(loader))
    optimizer = make_optimizer(config, model)
    schedule, per = make_schedule(config, optimizer, steps)
    callbacks: list[train.Callback] = []
    if config.steps:
        callbacks.append(_StopAfter(config.steps))
    if config.test_each_epoch:
        callbacks.append(train.Evaluate("test", DataLoader(sets.test, _EVALUATED_AT_ONCE)))
    if config.patience:
        callbacks.append(train.EarlyStopping(config.monitor, config.patience))
    monitor = config.monitor if sets.validation or "train" in config.monitor else "train_loss"
    callbacks += [
        train.Checkpoint(out, monitor, config.checkpoint_every, overwrite=True),
        *([] if extra else [train.Progress()]),
        train.StepLog(out / "steps.csv"),
        _Begin(config, sets, out),
    ]
    if config.tensorboard:
        callbacks.append(train.TensorBoard(out / "tensorboard"))
    trainer = train.Trainer(
        model,
        optimizer,
        make_loss(config, model),
        schedule=schedule,
        schedule_per=per,
        clip_norm=config.clip_norm,
        clip_value=config.clip_value,
        callbacks=[*callbacks, *extra],  # a step that an extra one interrupts is logged
    )
    return trainer, epochs


def _load(
    trainer: train.Trainer, config: RunConfig, epochs: int, out: Path, *, figures: bool
) -> int:
    """Load the training checkpoint to resume from.

    Returns:
        The number of completed epochs. It equals `epochs` for a run that was interrupted after
        training and still has to write its results or figures.
    """
    if not (out / SNAPSHOT).exists():
        raise DataError(
            f"--resume: expected a run with a training checkpoint, got {out}, which has no "
            f"{SNAPSHOT}."
        )
    trainer.load(out / SNAPSHOT)
    done = len(trainer.history.epochs)
    stopping = [one for one in trainer.callbacks if isinstance(one, train.EarlyStopping)]
    has_stopped = any(one.stopped_epoch for one in stopping)
    has_stopped = has_stopped and config == RunConfig.read(out / "config.json")
    if done < epochs and not has_stopped:
        return done
    if _has_results(out, done, figures=figures):
        result = f"has completed {done} epochs"
        if config.steps:
            result = f"has completed all {config.steps} steps"
        if has_stopped:
            result = f"is complete, stopped by --patience after epoch {done}"
        advice = _advise_longer_run(out) if config.fixes_length else "Try a higher --epochs."
        raise ArgumentError(f"--resume {out}: the run {result}. {advice}")
    for one in stopping:
        one.on_fit_end(trainer.state)  # restores the best weights
    return epochs


def _has_results(out: Path, epochs: int, *, figures: bool) -> bool:
    """Return whether a run wrote all its results after its last epoch."""
    try:
        metrics = read_json(out / "metrics.json")
        is_current = metrics["epochs"] == epochs and metrics["test_accuracy"] is not None
    except (DataError, LookupError, TypeError):
        return False
    names = (WEIGHTS, *_RESULTS, *(_FIGURES if figures else ()))
    return is_current and all((out / name).exists() for name in names)


def config_to_resume(folder: Path, changes: Mapping[str, Any]) -> RunConfig:
    """Return the config of the run in `folder`, with some fields changed.

    Raises:
        DataError: if its config.json cannot be read.
        ArgumentError: if the number of epochs is changed although other settings fix the length of
            the run, or a value is invalid.
    """
    config = RunConfig.read(folder / "config.json")
    epochs = changes.get("epochs", config.epochs)
    if epochs != config.epochs and config.fixes_length:
        raise ArgumentError(
            f"--resume with --epochs {epochs}: a run with {config.fixes_length} cannot be extended."
            f" {_advise_longer_run(folder)}"
        )
    return config.with_changes(changes)


def _advise_longer_run(out: Path) -> str:
    """Say how to train longer if the run in `out` cannot be extended."""
    return (
        f"To train longer, start a new run with --config {out}/config.json and a higher --epochs; "
        "only a run with --schedule constant or plateau and no --warmup or --steps can be extended."
    )


def _evaluation(dataset: ImageDataset | None) -> DataLoader | None:
    return None if dataset is None else DataLoader(dataset, _EVALUATED_AT_ONCE)


def _report_sets(config: RunConfig, sets: Sets, seconds: float) -> None:
    samples = config.sample_noun
    if samples == "images":
        samples += " of " + "x".join(map(str, sets.train.images.shape[1:]))
    held_out = f", {len(sets.validation)} validation" if sets.validation else ""
    show(
        f"{sets.train.name}: {len(sets.train)} training{held_out} and {len(sets.test)} test "
        f"{samples} in {len(sets.train.classes)} classes, out of {sets.found[0]} + "
        f"{sets.found[1]} {config.sample_noun} from {sets.train.origin}, loaded in {seconds:.2f} s"
    )
    if sets.corrections is not None:
        copies = number_of(sets.copies, "copy", "copies")
        corrections = number_of(len(sets.corrections["labels"]), "correction")
        show(
            f"the training images include {copies} of each of the {corrections} in "
            f"{config.corrections}"
        )


def _draw(
    out: Path, model: nn.Module, test_set: ImageDataset, logits: Any, history: train.History
) -> None:
    if not history.epochs:
        return
    reason = viz.report(out, model, test_set, logits, history.epochs)
    if reason:
        show(f"warning: the graph was not drawn: {reason}", sys.stderr)


def _close(config: RunConfig, found: dict[str, Any], out: Path) -> int:
    """Print the closing line and return the exit status."""
    seconds, epochs = found["seconds"]["training"], found["epochs"] - found["resumed_after"]
    mean = f" ({seconds / epochs:.1f} s per epoch)" if epochs else ""
    result = f"stopped after {found['epochs']} epochs"
    if found["test_accuracy"] is not None:
        result = f"test accuracy {found['test_accuracy']:.2%} on {found['test_samples']} "
        result += config.sample_noun
    show(
        f"{found['model']} on {found['dataset']}: {result}, {seconds:.1f} s{mean}, files in {out}/"
    )
    if found["fault"]:
        show(f"error: {found['fault']}", sys.stderr)
        return 1
    if found["interrupted"]:
        return _report_interrupt(out)
    return 0


def _report_interrupt(out: Path) -> int:
    show(f"Interrupted. Resume with: python -m tinygrad_np train --resume {out}", sys.stderr)
    return 130

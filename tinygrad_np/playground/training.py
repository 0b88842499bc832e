"""The Train tab: one training run at a time, in a thread of the server."""

import io
import shlex
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Conflict

from tinygrad_np import random
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.folders import run_folder
from tinygrad_np.cli.models import built_in_models
from tinygrad_np.cli.training import SNAPSHOT, WEIGHTS, config_to_resume, run_training
from tinygrad_np.console import show
from tinygrad_np.errors import ArgumentError, DataError, TinygradNpError
from tinygrad_np.files import exists, read_bytes, read_json
from tinygrad_np.playground.feed import Feed
from tinygrad_np.playground.form import (
    TITLES,
    check_is_unfinished,
    check_length,
    choices,
    error_for_page,
    find_runs,
    make_config,
)
from tinygrad_np.playground.http import json_body
from tinygrad_np.playground.settings import Settings
from tinygrad_np.playground.watcher import Control, Watcher
from tinygrad_np.schema import ANYTHING, COUNT, TEXT, DictOf

MAX_STREAMS = 16
"""Largest number of event streams at a time."""

_SAVE_SECONDS = 60.0
_BODY = {"config": DictOf(ANYTHING), "resume": TEXT, "epochs": COUNT}


class Training:
    """The training run of a server: at most one at a time.

    A run is the same as with `python -m tinygrad_np train`: it writes the same files, has the same
    numbers for the same seed, and can be resumed from the command line.

    Attributes:
        feed: what the run publishes.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.feed = Feed()
        self.feed.publish(status="idle")
        self._lock = threading.Lock()
        self._running = ""
        self._is_closed = False
        self._control = Control()
        self._thread: threading.Thread | None = None
        built_in_models()  # loads them once, before several threads might

    def start(self, given: Mapping[str, Any]) -> str:
        """Start a new run with the settings of a request and return its name.

        Raises:
            Conflict: if another run is training.
            ArgumentError: if a setting is invalid.
            DataError: if the run's directory cannot be created.
        """
        with self._lock:
            self._check_idle()
            config = make_config(given, self.settings)
            default = self.settings.runs / f"{config.model_name}-{config.data}"
            with ExitStack() as stack:
                out = stack.enter_context(run_folder(None, default, overwrite=False))
                self._launch(config, out, stack.pop_all(), is_resumed=False)
            return out.name

    def resume(self, name: str, epochs: int | None) -> str:
        """Resume a run in the runs' directory; `epochs` is its new number of epochs.

        Raises:
            Conflict: if another run is training.
            ArgumentError: if there is no such run, or it is complete or cannot be extended.
        """
        with self._lock:
            self._check_idle()
            if name not in find_runs(self.settings.runs):
                raise ArgumentError(f"training: expected the name of a run, got {name!r:.80}.")
            folder = self.settings.runs / name
            config = config_to_resume(folder, {} if epochs is None else {"epochs": epochs})
            check_is_unfinished(folder, config)
            if epochs is not None:
                check_length(config)
            self._launch(config, folder, ExitStack(), is_resumed=True)
            return name

    def pause(self) -> None:
        """Pause the run after the current step."""
        self._ask("running", "paused", is_paused=True)

    def proceed(self) -> None:
        """Continue a paused run."""
        self._ask("paused", "running", is_paused=False)

    def stop(self) -> None:
        """Stop the run after the current step, if one is training; its files are written."""
        with self._lock:
            if self._running:
                self.feed.publish(status="stopping")
                self._control.set(is_stopped=True)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run; return whether it has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def close(self, seconds: float = _SAVE_SECONDS) -> bool:
        """Save the run, for the end of the server: stop it, wait for it, and end all streams.

        Return whether it has ended in this time. No other run can start.
        """
        with self._lock:
            self._is_closed = True
            name = self._running
        if name:
            show(f"Saving {name}; press Ctrl-C again to stop at once.")
        self.stop()
        is_saved = self.join(seconds)
        if not is_saved:
            rest, command = "Nothing of it has been saved.", self.feed.get("commands")["resume"]
            if exists(self.settings.runs / name / SNAPSHOT):
                rest = f"Resume it after its last saved epoch with: {command}"
            show(f"warning: {name} did not stop within {seconds:g} s. {rest}", sys.stderr)
        self.feed.close()
        return is_saved

    def _check_idle(self) -> None:
        if self._is_closed:
            raise Conflict("training: the server is being stopped.")
        if self._running:
            raise Conflict(f"training: {self._running} is training. Stop it first.")

    def _ask(self, expected: str, status: str, *, is_paused: bool) -> None:
        with self._lock:
            if self.feed.get("status") != expected:
                raise Conflict(f"training: expected a run that is {expected}, got none.")
            self.feed.publish(status=status)
            self._control.set(is_paused=is_paused)

    def _launch(self, config: RunConfig, out: Path, stack: ExitStack, *, is_resumed: bool) -> None:
        self._running, self._control = out.name, Control()
        shown = {name: getattr(config, name) for name in TITLES} | {
            "model": config.model_name,
            "lr": config.learning_rate,
        }
        self.feed.restart(
            status="loading",
            name=out.name,
            config=shown,
            can_extend=not config.fixes_length,
            commands={
                "resume": f"python -m tinygrad_np train --resume {shlex.quote(str(out))}",
                "evaluate": f"python -m tinygrad_np evaluate {shlex.quote(str(out))}",
            },
        )
        # A daemon: a download that hangs must not keep the server from exiting.
        self._thread = threading.Thread(
            target=self._run, args=(config, out, stack, is_resumed), name="training", daemon=True
        )
        self._thread.start()

    def _run(self, config: RunConfig, out: Path, stack: ExitStack, is_resumed: bool) -> None:
        status, found = "failed", {}
        try:
            with random.own_default(), stack:
                code = run_training(
                    config,
                    out,
                    resume=is_resumed,
                    figures=False,
                    watch=lambda sets: Watcher(config, sets, out, self.feed, self._control),
                )
                metrics = read_json(out / "metrics.json")
            status = {0: "finished", 130: "stopped"}.get(code, "failed")
            found = {
                "message": error_for_page(metrics["fault"])["error"],
                "test_accuracy": metrics["test_accuracy"],
                "test_samples": metrics["test_samples"],
            }
        except TinygradNpError as error:
            found = {"message": error_for_page(error)["error"]}
        except BaseException:
            traceback.print_exc()
            found = {"message": "The training run failed. The server's terminal shows the error."}
        found["has_weights"] = exists(out / WEIGHTS)
        with self._lock:
            self._running = ""
            self.feed.publish(status=status, **found)


def add_routes(app: Flask, training: Training) -> None:
    """Add the routes of the Train tab."""
    settings, streams = training.settings, threading.BoundedSemaphore(MAX_STREAMS)
    app.extensions["training"] = training
    app.extensions.setdefault("on_exit", []).append(training.close)

    def start() -> ResponseReturnValue:
        body = json_body("training", DictOf(ANYTHING, _BODY))
        try:
            if set(body) == {"config"}:
                return {"name": training.start(body["config"])}
            if "resume" in body and set(body) <= {"resume", "epochs"}:
                return {"name": training.resume(body["resume"], body.get("epochs"))}
            raise ArgumentError("training: expected either `config`, or `resume` and `epochs`.")
        except (ArgumentError, DataError) as error:
            return jsonify(error_for_page(error)), 400

    def events() -> Response:
        if not streams.acquire(blocking=False):
            abort(503, f"training: {MAX_STREAMS} pages already follow training runs. Close one.")
        response = Response(training.feed.stream(), mimetype="text/event-stream")
        # Unlike the end of the generator, this also runs if no event was ever sent.
        response.call_on_close(streams.release)
        return response

    def download(name: str) -> Response:
        runs = {run: settings.runs / run / WEIGHTS for run in find_runs(settings.runs)}
        try:
            # A header cannot contain a newline, and reading a pipe would never end.
            if name not in runs or not name.isprintable() or not runs[name].is_file():
                raise DataError("no such file")
            content = io.BytesIO(read_bytes(runs[name]))
        except (DataError, OSError):
            abort(404, f"training: expected the name of a finished run, got {name!r:.80}.")
        return send_file(content, "application/octet-stream", True, f"{name}.safetensors")

    def tell(action: Callable[[], None]) -> Callable[[], dict[str, Any]]:
        def respond() -> dict[str, Any]:
            action()
            return {"status": training.feed.get("status")}

        return respond

    rule = app.add_url_rule
    rule("/api/training/choices", "training_choices", lambda: choices(settings))
    rule("/api/training", "training_start", start, methods=["POST"])
    rule("/api/training/pause", "training_pause", tell(training.pause), methods=["POST"])
    rule("/api/training/continue", "training_continue", tell(training.proceed), methods=["POST"])
    rule("/api/training/stop", "training_stop", tell(training.stop), methods=["POST"])
    rule("/api/training/events", "training_events", events)
    rule("/runs/<name>/model.safetensors", "training_download", download)

"""Command-line programs: exit status, closed pipes, full disks, and Ctrl-C at any moment."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import each
from tinygrad_np import console
from tinygrad_np.errors import ArgumentError, DataError

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "tinygrad_np"]
QUICK = ["--data", "digits", "--model", "DigitsCNN", "--epochs", "2", "--no-figures"]


class Broken(io.StringIO):
    """Standard output that fails on write or on flush."""

    def __init__(self, error, *, on_write):
        super().__init__()
        self.error = error
        self.on_write = on_write

    def write(self, text):
        if self.on_write:
            raise self.error
        return len(text)

    def flush(self):
        raise self.error


@each(
    "error,status,message",
    [
        (ArgumentError("no."), 2, "error: no.\n"),
        (DataError("no."), 1, "error: no.\n"),
        (OSError(errno.EIO, "bad", "file"), 1, "error: [Errno 5] bad: 'file'\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_errors_give_one_line_and_a_status(capsys, error, status, message):
    def fail():
        raise error

    assert console.run_program(fail) == status
    assert capsys.readouterr() == ("", message)


def test_the_result_is_the_status():
    assert console.run_program(lambda: None) == 0
    assert console.run_program(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        console.run_program(lambda: 1 // 0)


@pytest.mark.parametrize("on_write", [True, False])
def test_a_failing_output_is_reported(monkeypatch, capsys, on_write):
    full = OSError(errno.ENOSPC, "no space")
    for error, status, message in [
        (full, 1, "error: standard output: cannot write to it (no space).\n"),
        (BrokenPipeError(), 141, ""),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Broken(error, on_write=on_write))
            assert console.run_program(lambda: print("text")) == status
            assert console.run_program(lambda: console.show("text")) == status
        assert capsys.readouterr().err == message * 2


def test_show_never_fails(monkeypatch, capsys):
    console.show("a")
    console.show("b", sys.stderr)
    assert capsys.readouterr() == ("a\n", "b\n")
    closed = io.StringIO()
    closed.close()
    plain = io.TextIOWrapper(io.BytesIO(), "ascii")
    for stream in (Broken(BrokenPipeError(), on_write=True), closed, plain, None):
        monkeypatch.setattr(sys, "stdout", stream)
        console.show("é")


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="uses a shell and signals")


def shell(command, **variables):
    """Run a shell command in which $RUN is `python -m tinygrad_np`."""
    return subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "RUN": " ".join(COMMAND), **variables},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("$RUN summary LeNet | true; echo ${PIPESTATUS[0]} >&2", 0, "141\n"),
        ("$RUN train --help | true; echo ${PIPESTATUS[0]} >&2", 0, "141\n"),
        ("PYTHONUNBUFFERED=1 $RUN summary LeNet | true; echo ${PIPESTATUS[0]} >&2", 0, "141\n"),
        ("$RUN summary LeNet >&-", 0, ""),
        ("$RUN summary Le 2>&-", 2, ""),
        ("$RUN summary Le 2>/dev/full", 2, ""),
    ],
)
def test_closed_output_gives_no_traceback(command, status, message):
    # `true` may still be reading when the first line arrives, but it never reads the last.
    done = shell(command)
    assert (done.returncode, done.stderr) == (status, message)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffering", ["", "1"])
def test_a_full_disk_gives_a_one_line_error(buffering):
    done = shell("$RUN summary LeNet >/dev/full", PYTHONUNBUFFERED=buffering)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize("redirection", ["| true", "2>&1 | true", "2>&- >&-"])
def test_training_without_a_reader_writes_its_weights(tmp_path, redirection):
    command = f"$RUN train {' '.join(QUICK)} --patience 1 --out {tmp_path}/run"
    done = shell(f"{command} {redirection}", PYTHONUNBUFFERED="1")
    assert done.stderr == ""
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
def test_names_that_the_encoding_lacks_are_escaped(tmp_path):
    done = subprocess.run(
        [*COMMAND, "train", *QUICK, "--out", str(tmp_path / "é×")],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "files in " in done.stdout
    assert "\\xe9\\xd7" in done.stdout


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize("module", ["numpy", "tinygrad_np.ops", "matplotlib.figure", "tqdm"])
def test_ctrl_c_during_the_imports_is_silent(tmp_path, module):
    """Interrupt the process when it is about to import `module`."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    paths = os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        [*COMMAND, "config"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_importing_the_package_keeps_the_handler_of_ctrl_c():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

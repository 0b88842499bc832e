"""The playground command: its flags, its signals and what it saves."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.playground.test_server import PATIENCE, read_answer, refuses
from tests.tools import each
from tinygrad_np.cli import main
from tinygrad_np.playground import server as module
from tinygrad_np.playground.app import create_app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@each(
    "flags,words",
    [
        (["--port", "-1"], "--port: expected an integer from 0 to 65535, got '-1'."),
        (["--port", "65536"], "--port: expected an integer from 0 to 65535, got '65536'."),
        (["--port", "x"], "--port: expected an integer from 0 to 65535, got 'x'."),
        (["--data-dir", "missing"], "--data-dir: expected a directory, got 'missing'."),
        (["--model", "Nothing"], "--model: expected one of"),
        (["--model", "missing.py:Net"], "expected an existing Python file"),
        (["--runs", ""], "--runs: expected a path"),
    ],
)
def test_invalid_flags_are_one_line_errors(flags, words, capsys):
    assert main(["playground", *flags]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_the_error_without_flask_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flask", None)
    assert main(["playground"]) == 1
    assert capsys.readouterr().err == (
        "error: playground: Flask is not installed. Install it with "
        'python -m pip install "tinygrad_np[playground]".\n'
    )


@pytest.fixture
def start():
    """Return a function that starts the command, and returns the process, its host and port."""
    processes = []

    def start_command(*flags):
        process = subprocess.Popen(
            [sys.executable, "-m", "tinygrad_np", "playground", "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        processes.append(process)
        line = process.stdout.readline()
        found = re.fullmatch(r"Playground: http://([\d.]+):(\d+)/ \(Ctrl-C stops it\)\n", line)
        assert found, line
        return process, found[1], int(found[2])

    yield start_command
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_at_a_signal(start, number, tmp_path):
    (tmp_path / "net.py").write_text("from tinygrad_np.nn import ReLU as Net\n")
    spec = f"{tmp_path / 'net.py'}:Net"
    process, host, port = start("--runs", str(tmp_path / "runs"), "--model", spec)
    with socket.create_connection((host, port), PATIENCE) as idle:
        client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        client.request("GET", "/")
        assert client.getresponse().status == 200
        client.close()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
        assert idle.recv(1) == b""
    with socket.socket() as again:  # the port is free again
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, port))


def start_training(host, port, **config):
    """Start a training run on the digits and return its name."""
    body = json.dumps({"config": {"data": "digits"} | config})
    client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    client.request("POST", "/api/training", body, {"Content-Type": "application/json"})
    answer = json.loads(client.getresponse().read())
    client.close()
    assert "name" in answer, answer
    return answer["name"]


def test_ctrl_c_saves_the_training_run(start, tmp_path):
    process, host, port = start("--runs", str(tmp_path))
    name = start_training(host, port, model="DigitsCNN", epochs=10_000)
    client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    client.request("GET", "/api/training/events")
    events = iter(client.getresponse().readline, b"")
    assert any(b'"confusion"' in line for line in events)  # an epoch has ended
    client.close()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert f"Saving {name}; press Ctrl-C again to stop at once.\n" in out
    assert "epoch 1/" not in out + err  # lines of epochs would scroll the address away
    assert f"--resume {tmp_path / name}" in err
    assert (tmp_path / name / "training.safetensors").is_file()
    assert main(["evaluate", str(tmp_path / name)]) == 0


STUCK = """
import sys, threading
from tinygrad_np import nn

class Stuck(nn.Linear):
    def __init__(self):
        super().__init__(1, 1)

    def forward(self, x):
        print("stuck", file=sys.stderr, flush=True)
        threading.Event().wait()
"""


def test_a_second_ctrl_c_ends_at_once(start, tmp_path):
    (tmp_path / "stuck.py").write_text(STUCK)
    spec = f"{tmp_path / 'stuck.py'}:Stuck"
    process, host, port = start("--runs", str(tmp_path / "runs"), "--model", spec)
    start_training(host, port, model="Stuck")
    assert process.stderr.readline() == "stuck\n"
    process.send_signal(signal.SIGINT)
    assert any("press Ctrl-C again to stop at once" in line for line in process.stdout)
    assert process.poll() is None
    with pytest.raises(ConnectionError):  # it accepts no more connections
        socket.create_connection((host, port), PATIENCE)
    process.send_signal(signal.SIGINT)
    assert "Interrupted." in process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130


def test_an_open_server_warns(start):
    process, host, port = start("--host", "0.0.0.0")
    assert host == "127.0.0.1"
    with socket.create_connection((host, port), PATIENCE) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: rebound.example:{port}\r\n\r\n".encode())
        refuses(read_answer(connection), 403, "Host")
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=PATIENCE)[1]
    assert err.startswith("warning: --host 0.0.0.0: anyone who can reach this machine")
    assert process.returncode == 0


@pytest.fixture
def interrupted(monkeypatch):
    """Press Ctrl-C as soon as `serve` says that it runs, and add a function for the end."""
    results, show = [True], module.show

    def create(*args):
        app = create_app(*args)
        app.extensions["on_exit"].append(results.pop)
        return app

    def show_and_interrupt(*args):
        show(*args)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(module, "create_app", create)
    monkeypatch.setattr(module, "show", show_and_interrupt)
    return results


def test_a_run_that_was_not_saved_is_a_failure(interrupted, capsys):
    assert main(["playground", "--port", "0"]) == 0
    interrupted.append(False)
    assert main(["playground", "--port", "0"]) == 1
    assert capsys.readouterr().err == ""


def test_other_spellings_of_loopback_do_not_warn(interrupted, capsys):
    assert main(["playground", "--host", "127.1", "--port", "0"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Playground: http://127.1:")
    assert err == ""


def test_other_commands_do_not_import_flask():
    code = "import sys, tinygrad_np.cli.entry as e; sys.exit('flask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0

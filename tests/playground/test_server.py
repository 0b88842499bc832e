"""The real server on a free port: hostile clients get an answer, and nobody else notices."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time

import pytest
from flask import Flask, Response

from tests.tools import each
from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.http import MAX_PICTURE, json_body, picture_body
from tinygrad_np.playground.security import HEADERS
from tinygrad_np.playground.server import Server
from tinygrad_np.playground.settings import Settings

pytestmark = pytest.mark.slow

PATIENCE = 60  # seconds until a test of a server that hangs gives up


class Running:
    """A server in a thread, with some routes that read bodies and stream."""

    def __init__(self, **limits):
        app = create_app(Settings())
        self.released = threading.Event()
        rule = app.add_url_rule
        rule("/json", "json", lambda: {"got": json_body("json", {})}, methods=["POST"])
        rule("/size", "size", lambda: {"size": len(picture_body("size"))}, methods=["POST"])
        rule("/fail", "fail", lambda: {}["/secret/place"])
        rule("/stream", "stream", lambda: Response(self.stream()))
        rule("/endless", "endless", lambda: Response(bytes(2**16) for _ in iter(int, 1)))
        self.server = Server(app, "127.0.0.1", 0, **limits)
        self.port = self.server.port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stream(self):
        """Yield an event at once, and another when `released` is set."""
        yield "data: 1\n\n"
        self.released.wait(PATIENCE)
        yield "data: 2\n\n"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def send(self, data):
        """Send bytes and return the parsed answer."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_answer(connection)

    def request(self, method, path, body=b"", **headers):
        """Send a well-formed request, with headers such as Content_Type, and return the answer."""
        lines = [f"{method} {path} HTTP/1.1"]
        headers = {"Host": f"127.0.0.1:{self.port}", "Content_Length": str(len(body))} | headers
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def check_is_up(self):
        status, _, body = self.request("GET", "/")
        assert status == 200
        assert b"playground" in body

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.disconnect()


def read_answer(connection):
    """Return status, headers and body of a response that ends with the connection."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.getheaders()), response.read()


def refuses(answer, status, word=""):
    """Check a refusal: the status, JSON with a message, the headers, and no traceback."""
    got, headers, body = answer
    assert got == status
    assert headers["Content-Type"] == "application/json"
    assert HEADERS.items() <= headers.items()
    error = json.loads(body)["error"]
    assert word in error
    assert "Traceback" not in error
    assert ".py" not in error


@contextlib.contextmanager
def running(**limits):
    """Run a server, check at the end that it still answers and leaves no thread."""
    threads = set(threading.enumerate())
    server = Running(**limits)
    try:
        yield server
        server.check_is_up()
    finally:
        server.close()
    assert set(threading.enumerate()) <= threads


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


@pytest.fixture
def impatient():
    with running(read_seconds=0.2) as server:
        yield server


def test_a_response_carries_the_headers_and_no_versions(server):
    status, headers, _ = server.request("GET", "/static/style.css")
    assert status == 200
    assert HEADERS.items() <= headers.items()
    assert headers["Server"] == "tinygrad_np"


@each(
    "data,status",
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1 and more\r\n\r\n", 400),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 403),  # no Host
        (b"GET / HTTP/1.0\r\n\r\n", 403),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", 400),
        (b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 403),
        (b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 403),
    ],
)
def test_malformed_requests_are_refused(server, data, status):
    refuses(server.send(data), status)
    server.check_is_up()


def test_a_name_that_points_here_is_refused(server):
    for host in (f"rebound.example:{server.port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:a"):
        refuses(server.request("GET", "/", Host=host), 403, "Host")
    server.check_is_up()


def test_posts_of_other_sites_are_refused(server):
    json_type = {"Content_Type": "application/json"}
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec_Fetch_Site": "same-origin"}
    assert server.request("POST", "/json", b"{}", **json_type, **own)[0] == 200
    for headers in (
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        refuses(server.request("POST", "/json", b"{}", **json_type, **headers), 403)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        refuses(server.request("POST", "/json", b"{}", Content_Type=kind), 415)
    server.check_is_up()


@each("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_other_methods_are_refused(server, method):
    refuses(server.request(method, "/"), 405)
    server.check_is_up()


PATHS = [
    *("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/..%5capp.py"),
    *("/static//etc/passwd", "/static/%2fetc%2fpasswd", "//etc/passwd", "/../../../etc/passwd"),
    *("/static/%00", "/static/style.css%00.txt", "/static/", "/static/..", "/templates/index.html"),
    *("/runs/../../etc/passwd/model.safetensors", "/static/%ff%fe", "/static/" + "a/" * 5000),
    "/static/" + "a" * 5000,
]


@each("path", PATHS, ids=lambda path: path[:40])
def test_paths_lead_to_no_other_files(server, path):
    refuses(server.request("GET", path), 404)
    server.check_is_up()


def test_malformed_bodies_are_refused(server):
    for body in (b"", b"{", b"[" * 60_000, b'{"a":' * 10_000, b"\xff", b"NaN", b"\0" * 100):
        answer = server.request("POST", "/json", body, Content_Type="application/json")
        refuses(answer, 400)
    server.check_is_up()


def test_oversized_bodies_are_refused_before_they_are_read(server):
    for path, kind, size in (
        ("/json", "application/json", 2**16 + 1),
        ("/json", "application/json", 10**15),
        ("/size", "image/png", MAX_PICTURE + 1),
    ):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
        refuses(server.send(head.encode()), 413)
    server.check_is_up()


def test_the_answer_arrives_although_the_client_still_sends(server):
    body = bytes(2 * MAX_PICTURE)
    refuses(server.request("POST", "/size", body, Content_Type="image/png"), 413)
    server.check_is_up()


def test_chunked_bodies_are_refused(server):
    chunks = b"5\r\nhello\r\n" * 1000 + b"0\r\n\r\n"
    for coding in ("chunked", "gzip, chunked", "identity"):
        answer = server.request("POST", "/size", chunks, Transfer_Encoding=coding)
        refuses(answer, 411, "Content-Length")
    server.check_is_up()


def test_strange_content_lengths_are_refused(server):
    for length in ("-1", "many", "1e3", "", "0x10", "9" * 5000):
        answer = server.request(
            "POST", "/json", b"{}", Content_Type="application/json", Content_Length=length
        )
        assert 400 <= answer[0] < 500
        refuses(answer, answer[0])
    server.check_is_up()


def test_errors_reach_the_terminal_and_not_the_client(server, capfd):
    refuses(server.request("GET", "/fail"), 500)
    assert "/secret/place" in capfd.readouterr().err


def test_clients_that_hang_up_leave_no_trace(server, capfd):
    for data in (
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\n",
        b"POST /json HTTP/1.1\r\nContent-Length: 9\r\n",
    ):
        server.connect().close()
        with server.connect() as connection:
            connection.sendall(data)
            # A reset instead of an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with server.connect() as connection:
        connection.sendall(
            f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        )
        connection.recv(1000)
    server.check_is_up()
    assert capfd.readouterr() == ("", "")


@each(
    "start",
    [
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: 127",
        b"POST /json HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
        b'Content-Length: 1000\r\n\r\n{"a',
    ],
)
def test_slow_clients_are_cut_off_at_the_deadline(start):
    # Each byte comes well before the deadline, so a deadline per byte would never end this.
    with running(read_seconds=0.3) as server, server.connect() as connection:
        begin = time.monotonic()
        connection.sendall(start.replace(b"%s", f"127.0.0.1:{server.port}".encode()))
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            assert time.monotonic() - begin < PATIENCE
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1, socket.MSG_PEEK)
            with contextlib.suppress(ConnectionError):
                connection.send(b"a")
        connection.settimeout(PATIENCE)
        refuses(read_answer(connection), 408)


def test_clients_that_accept_no_response_are_cut_off(impatient):
    with impatient.connect() as connection:
        head = f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{impatient.port}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4) == b"HTTP"
        begin = time.monotonic()
        while threads := threads_of(impatient):
            assert time.monotonic() - begin < PATIENCE
            threads[0].join(0.1)


def threads_of(server):
    """Return the threads of the open connections."""
    return list(server.server._connections.values())


def test_idle_connections_are_closed_and_bounded():
    with running(read_seconds=0.5, max_connections=8) as server:
        idle = [server.connect() for _ in range(100)]
        answers = [connection.recv(10_000) for connection in idle]
        for connection in idle:
            connection.close()
    # Those in time were closed at the deadline without an answer, the others refused at once.
    refused = [answer for answer in answers if answer]
    assert len(refused) >= 92
    assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in refused)


def test_a_connection_above_the_limit_gets_an_answer():
    with running(max_connections=1) as server:
        with server.connect() as streaming:
            head = f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
            streaming.sendall(head.encode())
            assert streaming.recv(4).startswith(b"HTTP")
            refuses(server.request("GET", "/"), 503)
            server.released.set()
            while streaming.recv(1000):
                pass
        for thread in threads_of(server):
            thread.join()


def test_disconnect_completes_responses_and_closes_idle_connections():
    with contextlib.ExitStack() as stack:
        server = Running()
        idle, streaming = (stack.enter_context(server.connect()) for _ in range(2))
        head = f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
        streaming.sendall(head.encode())
        assert streaming.recv(4) == b"HTTP"
        server.close()
        assert idle.recv(1) == b""
        parts = iter(lambda: streaming.recv(1000), b"")
        assert b"".join(parts).endswith(b"data: 2\n\n\r\n0\r\n\r\n")
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_a_port_in_use_is_an_error_with_a_remedy(server):
    with pytest.raises(ArgumentError, match=rf"got {server.port}, which is in use.*--port 0 "):
        Server(Flask(__name__), "127.0.0.1", server.port)


@each(
    "host,port,words",
    [
        ("127.0.0.1", 65536, "--port: expected an integer from 0 to 65535, got 65536"),
        ("192.0.2.1", 0, "cannot listen on '192.0.2.1'"),
        ("a..b", 0, "cannot listen on 'a..b'"),
    ],
)
def test_addresses_that_cannot_be_used_are_errors(host, port, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        Server(Flask(__name__), host, port)

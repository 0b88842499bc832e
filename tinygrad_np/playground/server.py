"""The web server of the playground: threads, limits for clients, and a shutdown that saves."""

import errno
import io
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any

from flask import Flask
from werkzeug.exceptions import BadRequest, RequestTimeout
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from tinygrad_np.console import show
from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.security import HEADERS, is_loopback
from tinygrad_np.playground.settings import Settings

READ_SECONDS = 10.0
"""Time in which a client must send its whole request, and accept each part of the response."""

MAX_CONNECTIONS = 64
"""Number of connections at a time; event streams count."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000) -> int:
    """Run the playground until Ctrl-C or SIGTERM; then save a running training run, and return.

    At the end, the functions in `app.extensions["on_exit"]` are called; each returns whether it
    saved everything. An interrupted training run is not an error: it is saved, and its log says
    how to resume it.

    Args:
        settings: where to find data and models, and to write runs.
        host: name or address to listen on.
        port: port to listen on; 0 takes a free one.

    Returns:
        The exit status: 1 if a training run did not stop in time.

    Raises:
        ArgumentError: if the server cannot listen there, for example because the port is in use.
        KeyboardInterrupt: after a second Ctrl-C, which does not wait until the run is saved.
    """
    app = create_app(settings, host)
    server = Server(app, host, port)
    signals = SimpleQueue[int]()
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="server", daemon=True)
    with _handle_signals(signals):
        thread.start()
        name = _ANY.get(host, host)
        name = f"[{name}]" if ":" in name else name
        show(f"Playground: http://{name}:{server.port}/ (Ctrl-C stops it)")
        if not is_loopback(server.host):
            show(
                f"warning: --host {host}: anyone who can reach this machine over the network "
                "can use the playground.",
                sys.stderr,
            )
        signals.get()
        server.shutdown()
        thread.join()
        are_saved = [close() for close in app.extensions["on_exit"]]
        server.disconnect()
    return 0 if all(are_saved) else 1


@contextmanager
def _handle_signals(signals: "SimpleQueue[int]") -> Iterator[None]:
    """Queue the first Ctrl-C or SIGTERM; raise KeyboardInterrupt at the second."""
    count = 0

    def handle(number: int, frame: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        signals.put(number)  # unlike the methods of an Event, safe in a signal handler

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Server(ThreadedWSGIServer):
    """Threaded HTTP server with a bound on connections and deadlines for clients.

    Each connection carries one request and has its own thread.

    Args:
        app: the application.
        host: name or address to listen on.
        port: port to listen on; 0 takes a free one, which the attribute `port` then holds.
        read_seconds: time in which a client must send its whole request.
        max_connections: number of connections at a time; others are answered with status 503.

    Raises:
        ArgumentError: if the server cannot listen there.
    """

    def __init__(
        self,
        app: Flask,
        host: str,
        port: int,
        *,
        read_seconds: float = READ_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.read_seconds = read_seconds
        self._max_connections = max_connections
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        # Werkzeug would exit if it could not listen.
        with _listen(host, port) as listener:
            address = listener.getsockname()
            super().__init__(address[0], address[1], app, _Handler, fd=listener.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a new thread, or refuse it if there are too many."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            is_free = len(self._connections) < self._max_connections
            if is_free:
                self._connections[request] = thread
        if is_free:
            thread.start()
            return
        with suppress(OSError):
            request.settimeout(0)
            request.send(_BUSY)
            request.recv(65536)  # closing with unread data would discard the answer
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        super().shutdown_request(request)
        with self._lock:
            self._connections.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of an error in a connection's thread; ignore clients that hang up."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def disconnect(self, seconds: float = 2.0) -> None:
        """End all connections after `shutdown`; responses get some seconds to be completed."""
        with self._lock:
            connections = dict(self._connections)
        for direction in (socket.SHUT_RD, socket.SHUT_RDWR):
            for connection in connections:
                with suppress(OSError):  # closed in the meantime
                    connection.shutdown(direction)
            end = time.monotonic() + seconds
            for thread in connections.values():
                thread.join(max(0.0, end - time.monotonic()))


class _Handler(WSGIRequestHandler):
    """Reads one request within the deadline; answers malformed HTTP with JSON; logs nothing."""

    server: Server
    rfile: io.BufferedReader
    # The status line of errors in the request line itself. The default, HTTP/0.9, has none.
    default_request_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._stream = _RequestStream(self.connection, self.server.read_seconds)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._stream)

    def handle(self) -> None:
        """Handle the request; tell a client that is too slow."""
        try:
            super().handle()
        except RequestTimeout:
            if self._stream.has_data:  # browsers open connections in advance
                self.send_error(HTTPStatus.REQUEST_TIMEOUT)
        except BadRequest:
            self.send_error(HTTPStatus.BAD_REQUEST)

    def make_environ(self) -> dict[str, Any]:
        """Return the environment of the application; a malformed address raises BadRequest."""
        try:
            return super().make_environ()
        except ValueError as error:
            raise BadRequest from error

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin the response; what the client still sends is discarded from now on."""
        self._stream.is_answered = True
        super().send_response(code, message)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not HTTP, too long or too slow."""
        self._stream.is_answered = True
        self.close_connection = True
        with suppress(OSError):  # the client hung up
            self.wfile.write(_error_response(HTTPStatus(code)))
            # Closing with unread data would discard the answer.
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1(65536):
                pass

    def version_string(self) -> str:
        """Return the Server header: no versions."""
        return "tinygrad_np"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no requests: the terminal belongs to the messages of the playground."""

    def log_error(self, format: str, *args: Any) -> None:
        """Log no errors of clients; those of the application are printed where they occur."""


class _RequestStream(io.RawIOBase):
    """What a client sends, until a deadline for the whole request.

    After the deadline, reading raises RequestTimeout (status 408), or, once the request has been
    answered, ends.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self.has_data = False
        self.is_answered = False
        connection.settimeout(seconds)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - time.monotonic()
        if left > 0:
            self._connection.settimeout(left)
            try:
                count = self._connection.recv_into(buffer)
                self.has_data = self.has_data or count > 0
                return count
            except TimeoutError:
                pass
            finally:
                self._connection.settimeout(self._seconds)  # for writing
        if self.is_answered:
            return 0
        raise RequestTimeout("HTTP: expected the whole request in less time. Try again.")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections."""
    if not 0 <= port < 2**16:
        raise ArgumentError(f"--port: expected an integer from 0 to 65535, got {port}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise ArgumentError(
                f"--port: expected a free port, got {port}, which is in use. Choose another; "
                "--port 0 takes a free one."
            ) from error
        reason = (getattr(error, "strerror", None) or str(error)).rstrip(".")
        raise ArgumentError(
            f"--host, --port: cannot listen on {host!r}, port {port} ({reason})."
        ) from error


def _error_response(status: HTTPStatus) -> bytes:
    """Return a whole response for errors that do not reach the application."""
    text = f"HTTP: {status.phrase}. {status.description}".rstrip(". ") + "."
    body = json.dumps({"error": text}).encode()
    headers = HEADERS | {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


_BUSY = _error_response(HTTPStatus.SERVICE_UNAVAILABLE)

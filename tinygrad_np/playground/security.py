"""Protection from other web pages: checks on requests, headers on responses.

The server has no login, so anything that reaches it can use it. Any page on the web can make its
visitors' browsers send requests to 127.0.0.1, or point its own name there (DNS rebinding).
"""

import ipaddress
import re

from flask import Flask, Response, abort, request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content security policy of every response that sets none: only the server's own files load."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every response."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(?::([0-9]{1,5}))?")


def protect(app: Flask, host: str) -> None:
    """Refuse requests that other pages cause, and add `HEADERS` to every response.

    Args:
        app: the application; its error handler turns the refusals (status 403, or 411 for a body of
            unknown length) into JSON.
        host: the name or address that the server listens on.
    """

    def check_request() -> None:
        port = int(request.environ["SERVER_PORT"])
        # `request.host` would fall back to the server's own name if the header is missing.
        given = request.environ.get("HTTP_HOST", "")
        if not is_own_host(given, host, port):
            abort(
                403,
                f"Host: expected the address of the playground (port {port}), got {given!r}. "
                f"Open http://127.0.0.1:{port}/ in the browser.",
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{given.lower()}":
            abort(403, f"Origin: expected http://{given}, got {origin!r}.")
        if _is_from_elsewhere():
            abort(403, "Sec-Fetch-Site: expected a request from the playground's own page.")
        if "Transfer-Encoding" in request.headers:
            abort(411, "Transfer-Encoding: expected a body with a Content-Length instead.")

    app.url_map.merge_slashes = False  # would answer paths such as //etc with a redirect
    app.before_request(check_request)
    app.after_request(_add_headers)


def is_own_host(given: str, host: str, port: int) -> bool:
    """Return whether a Host header names this server.

    Loopback names and addresses always do. Other names do only if the server was started with them:
    anyone can point their own name here. An address cannot be faked in this way, so a server that
    listens on more than loopback accepts any.

    Args:
        given: value of the header.
        host: the name or address that the server listens on.
        port: the port that it listens on; 80 need not be in the header.

    >>> is_own_host("localhost:8000", "127.0.0.1", 8000)
    True
    >>> is_own_host("192.168.1.7:8000", "127.0.0.1", 8000)
    False
    >>> is_own_host("192.168.1.7:8000", "0.0.0.0", 8000)
    True
    >>> is_own_host("rebound.example:8000", "0.0.0.0", 8000)
    False
    """
    found = _HOST.fullmatch(given.lower())
    if found is None or int(found[2] or 80) != port:
        return False
    name, host = found[1].strip("[]"), host.lower()
    if name in ("localhost", host):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach a server that listens on `host`."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_from_elsewhere() -> bool:
    """Return whether the browser says that another site caused the request.

    Following a link to the page itself is fine. Another port of this machine is the same site, but
    another program.
    """
    if request.headers.get("Sec-Fetch-Site") not in ("cross-site", "same-site"):
        return False
    is_navigation = (
        request.method == "GET"
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    return not (is_navigation and request.path == "/")


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    return response

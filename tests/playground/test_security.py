"""Requests that other pages cause are refused, and every response carries the headers."""

import pytest
from flask import Flask

from tests.tools import each
from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.security import HEADERS, POLICY, is_loopback, is_own_host, protect
from tinygrad_np.playground.settings import Settings

PLACE = {"base_url": "http://127.0.0.1:8000"}


@pytest.fixture(scope="module")
def client():
    """Return a client of the application with a route that changes something."""
    app = create_app(Settings())
    app.add_url_rule("/change", "change", lambda: {"changed": True}, methods=["POST", "DELETE"])
    app.add_url_rule("/fail", "fail", lambda: {}[0])
    return app.test_client()


def refuses(answer, word, status=403):
    """Check a refusal: the status, JSON with a message, and the headers."""
    assert (answer.status_code, answer.mimetype) == (status, "application/json")
    assert word in answer.json["error"]
    assert HEADERS.items() <= dict(answer.headers).items()


OWN = ["localhost:8000", "LOCALHOST:8000", "127.0.0.1:8000", "127.0.0.2:8000", "[::1]:8000"]
FOREIGN = [
    *("", "localhost", "localhost:80", "localhost:8001", "localhost:", "localhost:8000:8000"),
    *("rebound.example:8000", "127.0.0.1.rebound.example:8000", "localhost.rebound.example:8000"),
    *("me@localhost:8000", "localhost:8000@rebound.example", "localhost:8000/", "localhost.:8000"),
    *("0.0.0.0:8000", "[::]:8000", "192.168.1.7:8000", "2130706433:8000", "0x7f.1:8000"),
    *("[::1:8000", "::1:8000", "[::ffff:c0a8:107]:8000", "[localhost]]:8000", "localhost:8\u0660"),
    *(" localhost:8000", "127.0.0.1:8000\n", "127.0.0.1\0:8000", "127.0.0.1:8000,rebound.example"),
]


@each("host", OWN)
def test_loopback_hosts_are_accepted(host):
    assert is_own_host(host, "127.0.0.1", 8000)
    assert is_own_host(host, "0.0.0.0", 8000)


@each("host", FOREIGN)
def test_foreign_hosts_are_refused(host):
    assert not is_own_host(host, "127.0.0.1", 8000)
    assert not is_own_host(host, "localhost", 8000)


def test_port_80_need_not_be_in_the_header():
    assert is_own_host("localhost", "127.0.0.1", 80)
    assert is_own_host("localhost:80", "127.0.0.1", 80)


@each("served", ["0.0.0.0", "::", "192.168.1.7", "box.lan"])
def test_an_open_server_accepts_addresses_and_its_own_name_only(served):
    assert is_own_host("192.168.1.7:8000", served, 8000)
    assert is_own_host("[fe80::7]:8000", served, 8000)
    assert not is_own_host("rebound.example:8000", served, 8000)
    assert is_own_host("Box.lan:8000", served, 8000) == (served == "box.lan")
    assert not is_loopback(served)


@each("served", ["localhost", "127.0.0.1", "::1", "127.9.9.9"])
def test_loopback_servers_are_recognized(served):
    assert is_loopback(served)


def test_a_foreign_host_is_refused_on_every_path(client):
    for path in ("/", "/static/style.css", "/none", "/change"):
        for method in (client.get, client.post, client.options):
            refuses(method(path, base_url="http://rebound.example:8000"), "rebound.example:8000")


def test_a_request_without_host_is_refused(client):
    answer = client.get("/", headers={"Host": ""}, **PLACE)
    refuses(answer, "Open http://127.0.0.1:8000/")


@each(
    "origin",
    [
        *("https://elsewhere.example", "http://elsewhere.example:8000", "null", "", "127.0.0.1"),
        *("http://127.0.0.1:3000", "https://127.0.0.1:8000", "http://127.0.0.1", "file://"),
        *("http://127.0.0.1:8000.elsewhere.example", "http://127.0.0.1:8000/"),
    ],
)
def test_foreign_origins_are_refused(client, origin):
    for method in (client.get, client.post, client.delete, client.options):
        refuses(method("/", headers={"Origin": origin}, **PLACE), "Origin: expected")


def test_the_own_origin_and_none_are_accepted(client):
    for headers in ({}, {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}):
        assert client.post("/change", headers=headers, **PLACE).json == {"changed": True}
        assert client.delete("/change", headers=headers, **PLACE).json == {"changed": True}


@each("site", ["cross-site", "same-site"])
def test_other_sites_may_only_link_to_the_page(client, site):
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link, **PLACE).status_code == 200
    framed = link | {"Sec-Fetch-Dest": "iframe"}
    fetched = link | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    for headers in (framed, fetched, {"Sec-Fetch-Site": site}):
        refuses(client.get("/", headers=headers, **PLACE), "Sec-Fetch-Site")
    for path in ("/static/app.js", "/api/models", "/graph"):
        refuses(client.get(path, headers=link, **PLACE), "Sec-Fetch-Site")
    refuses(client.post("/", headers=link, **PLACE), "Sec-Fetch-Site")


def test_typing_the_address_is_accepted(client):
    typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=typed, **PLACE).status_code == 200


def test_bodies_of_unknown_length_are_refused(client):
    answer = client.post("/change", headers={"Transfer-Encoding": "chunked"}, **PLACE)
    refuses(answer, "Content-Length", 411)


def test_every_response_carries_the_headers(client):
    for path, status in (("/", 200), ("/static/style.css", 200), ("/none", 404), ("/fail", 500)):
        with client.get(path, **PLACE) as answer:
            assert answer.status_code == status
        assert HEADERS.items() <= dict(answer.headers).items()
        kept = path.startswith("/static/")
        assert answer.headers["Cache-Control"] == ("no-cache" if kept else "no-store")


def test_a_page_may_carry_its_own_policy():
    app = Flask(__name__)
    protect(app, "127.0.0.1")
    own = "default-src 'none'; frame-ancestors 'self'"
    app.add_url_rule("/own", "own", lambda: ("", {"Content-Security-Policy": own}))
    answer = app.test_client().get("/own", **PLACE)
    assert answer.headers.getlist("Content-Security-Policy") == [own]


def test_the_policy_allows_no_inline_code_and_no_other_server():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"

"""JSON bodies, picture bodies, and the JSON answer to every error."""

import pytest
from flask import Flask

from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground.http import MAX_JSON, MAX_PICTURE, answer_error, json_body, picture_body
from tinygrad_np.schema import COUNT


@pytest.fixture
def client():
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_PICTURE
    app.register_error_handler(Exception, answer_error)
    rule = app.add_url_rule
    rule("/json", "json", lambda: json_body("json", {"n": COUNT}), methods=["POST"])
    rule("/size", "size", lambda: {"size": len(picture_body("size"))}, methods=["POST"])

    def fail():
        raise KeyError("/home/someone/secret")

    rule("/fail", "fail", fail)
    return app.test_client()


def test_a_valid_body_is_read(client):
    answer = client.post("/json", json={"n": 3})
    assert (answer.status_code, answer.json) == (200, {"n": 3})


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b'{"n": 3}', "text/plain", 415, "expected the content type application/json"),
        (b"n=3", "application/x-www-form-urlencoded", 415, "'application/x-www-form-urlencoded'"),
        (b'{"n": 3}', None, 415, "got none"),
        (b'{"n": 3', "application/json", 400, "expected a body of valid JSON"),
        (b"\xff\xfe\x00", "application/json", 400, "expected a body of valid JSON"),
        (b'{"n": NaN}', "application/json", 400, "expected a body of valid JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", "application/json", 400, "valid JSON"),
        (b"[" * 60_000, "application/json", 400, "valid JSON"),
        (b"[]", "application/json", 400, "expected `body` to be a dict with the keys ['n']"),
        (b'{"n": -1}', "application/json", 400, "expected `body.n` to be an integer >= 0, got -1"),
        (b'{"n": 1, "m": 2}', "application/json", 400, "got a dict with the keys ['n', 'm']"),
        (b'"' + b"x" * MAX_JSON + b'"', "application/json", 413, ""),
    ],
)
def test_other_bodies_are_refused(client, body, kind, status, words):
    answer = client.post("/json", data=body, content_type=kind)
    assert answer.status_code == status
    assert words in answer.json["error"]


def test_pictures_need_the_content_type_of_a_picture(client):
    assert client.post("/size", data=b"123", content_type="image/png").json == {"size": 3}
    answer = client.post("/size", data=b"123", content_type="text/html")
    assert answer.status_code == 415
    assert answer.json["error"] == (
        "size: expected a picture, such as a PNG or JPEG file, got the content type text/html."
    )
    assert client.post("/size", data=b"123").json["error"].endswith("the content type unknown.")
    huge = client.post("/size", data=b"0" * (MAX_PICTURE + 1), content_type="image/png")
    assert huge.status_code == 413
    assert huge.json["error"] == "size: expected at most 20 MiB, got more."


def test_unexpected_errors_reveal_nothing(client, capsys):
    answer = client.get("/fail")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret" in capsys.readouterr().err


def test_errors_of_the_package_are_the_clients(client):
    with client.application.app_context():
        answer, status = answer_error(ArgumentError("who: expected that, got this."))
    assert (answer.json, status) == ({"error": "who: expected that, got this."}, 400)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("get", "/none", 404), ("get", "/json", 405)]
)
def test_missing_routes_and_methods_answer_json(client, method, path, status):
    answer = getattr(client, method)(path)
    assert answer.status_code == status
    assert answer.json["error"]

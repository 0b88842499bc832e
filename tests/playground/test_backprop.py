"""The answer of the Backprop tab: values, gradients and the graph of an expression."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.tools import each
from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground.backprop import add_routes, differentiate
from tinygrad_np.playground.http import answer_error


@pytest.fixture
def client():
    app = Flask(__name__)
    app.register_error_handler(Exception, answer_error)
    add_routes(app)
    return app.test_client()


def gradients(text, **values):
    return [one["gradient"] for one in differentiate(text, values)["variables"]]


def test_the_readme_expression_has_the_gradients_of_the_chain_rule():
    answer = differentiate("((a*b + c).tanh())**2", {"a": 2.0, "b": -0.5, "c": 1.5})
    out = 0.46211715726000973  # tanh(0.5)
    inner = 2 * out * (1 - out**2)
    assert answer["result"] == {"name": "", "value": pytest.approx(out**2)}
    assert [one["gradient"] for one in answer["variables"]] == pytest.approx(
        [-0.5 * inner, 2 * inner, inner]
    )


def test_the_slope_of_a_nudge_is_close_to_the_gradient():
    for one in differentiate("a*sin(b) + exp(a)/b", {"a": 0.3, "b": 1.7})["variables"]:
        assert one["slope"] == pytest.approx(one["gradient"], rel=1e-3)
        assert one["slope"] != one["gradient"]


def test_the_largest_value_is_nudged_down():
    (only,) = differentiate("a*2", {"a": 1e6})["variables"]
    assert only["slope"] == pytest.approx(2, rel=1e-3)


def test_missing_values_get_defaults_and_other_names_are_ignored():
    answer = differentiate("a + b", {"b": 7, "unknown": 1})
    assert [(one["name"], one["value"]) for one in answer["variables"]] == [("a", 0.5), ("b", 7)]


def test_the_tape_names_ops_by_row_and_lists_local_derivatives():
    tape = differentiate("d = a*b; y = -d + 3*a", {"a": 2.0, "b": 5.0})["tape"]
    assert [(row["name"], row["operation"]) for row in tape] == [
        ("d", "a * b"), ("#2", "-d"), ("#3", "3 * a"), ("y", "#2 + #3"),
    ]  # fmt: skip
    assert [(row["value"], row["gradient"]) for row in tape] == [
        (10, -1),
        (-10, 1),
        (6, 1),
        (-4, 1),
    ]
    assert tape[0]["derivatives"] == [{"input": "a", "value": 5}, {"input": "b", "value": 2}]
    assert tape[2]["derivatives"] == [{"input": "a", "value": 3}]


def test_the_graph_has_the_names_of_the_expression():
    answer = differentiate("d = a*b; y = d.tanh()", {})
    names = {node["name"] for node in answer["content"]["nodes"]}
    assert {"a", "b", "d", "y"} <= names
    assert answer["result"]["name"] == "y"


@pytest.mark.slow
def test_answers_in_other_threads_are_the_same():
    text = "((a*b + a).tanh()*exp(a - b))**2 + maximum(a, b)"
    cases = [{"a": place / 10, "b": 1.5} for place in range(16)]
    expected = [differentiate(text, case) for case in cases]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(differentiate, [text] * 16, cases)) == expected


@each(
    "text,message",
    [
        ("log(a)", "log(-1) gives nan: it is not defined for this number."),
        ("a**0.5", "(-1) ** 0.5 gives nan: it is not defined for these numbers."),
        ("1/(a + 1)", "1 / 0 gives inf: it grows without bound near 0."),
        ("log(a + 1)*0", "log(0) gives −inf: it grows without bound near 0."),
        ("exp(-1000*a)", "exp(1000) gives inf: the result is too large for a float64."),
        ("a + 9**9**9", "A constant subexpression gives inf."),
        ("1/0*a", "A constant subexpression gives inf."),
        ("sqrt(a + 1)*sqrt(a + 1)", "The gradient of sqrt(0) with respect to its input is nan:"),
        (
            "sqrt(a + 1)",
            "The gradient of sqrt(0) with respect to its input is inf: it has no finite",
        ),
        ("a**b", "The gradient of (-1) ** 2 with respect to b is nan: it has no finite slope"),
    ],
)
def test_numbers_that_are_not_finite_are_explained(text, message):
    answer = differentiate(text, {"a": -1, "b": 2})
    assert len(answer["messages"]) == 1
    assert answer["messages"][0].startswith(message)
    found = [answer["result"]["value"], *[v["gradient"] for v in answer["variables"]]]
    assert {"nan", "inf", "-inf"} & set(found)
    json.dumps(answer, allow_nan=False)


def test_finite_results_have_no_message():
    assert differentiate("sqrt(a*a)", {"a": 3})["messages"] == []


def test_a_result_without_variables_is_refused():
    with pytest.raises(ArgumentError, match="expected at least one variable"):
        differentiate("2*3", {})


def test_the_route_answers_with_json(client):
    answer = client.post("/api/backprop", json={"expression": "x*x", "values": {"x": 3}})
    assert answer.status_code == 200
    assert answer.json["variables"][0]["gradient"] == 6


@each(
    "body,words",
    [
        ({"expression": "a +", "values": {}}, "at column 4"),
        ({"expression": "a*a", "values": {"a": 1e7}}, "expected the value of `a` to be a number"),
        ({"expression": "a*a", "values": {"a": "1"}}, "expected `body.values.a` to be a number"),
        ({"expression": "a*a", "values": [1]}, "expected `body.values` to be a dict"),
        ({"expression": 3, "values": {}}, "expected `body.expression` to be a string"),
        ({"expression": "a*a"}, "expected `body` to be a dict with the keys"),
    ],
)
def test_bad_requests_are_answered_with_the_reason(client, body, words):
    answer = client.post("/api/backprop", json=body)
    assert answer.status_code == 400
    assert words in answer.json["error"]


def test_the_graph_page_has_its_own_policy(client):
    answer = client.get("/backprop", query_string={"expression": "x*x", "values": '{"x": 3}'})
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; frame-ancestors 'self'")
    assert "unsafe" not in policy
    found = re.findall('id="data">(.*?)</script>', answer.text)
    assert [node["name"] for node in json.loads(found[0])["nodes"]][:1] == ["x"]


@each(
    "query,words",
    [
        ({"expression": "a +* b"}, "expected a number, a name or `(`, got `*` at column 4"),
        ({"expression": "<b>"}, "expected an expression, got `\\u003c` at column 1"),
        ({}, "expected a formula of up to 200 characters, got an empty text"),
        ({"expression": "a*a", "values": "[1]"}, "expected `values` to be a JSON object"),
        ({"expression": "a*a", "values": "[" * 50_000}, "expected `values` to be a JSON object"),
        ({"expression": "a*a", "values": '{"a": NaN}'}, "expected the value of `a` to be a number"),
        (
            {"expression": "a*a", "values": '{"a": "<b>"}'},
            "expected the value of `a` to be a number",
        ),
    ],
)
def test_an_error_becomes_a_readable_page(client, query, words):
    answer = client.get("/backprop", query_string=query)
    assert answer.status_code == 400
    assert answer.mimetype == "text/html"
    assert words in answer.text
    assert "<b>" not in answer.text

"""Types of command-line arguments: what they accept, and what their errors say."""

import argparse
from pathlib import Path

import pytest

from tests.tools import each
from tinygrad_np.cli.arguments import Parser, json_object, natural, number, path, port, positive
from tinygrad_np.errors import ArgumentError


@each(
    "kind,text,value",
    [
        (port, "0", 0),
        (port, "65535", 65535),
        (positive, "1", 1),
        (natural, "0", 0),
        (natural, str(2**63 - 1), 2**63 - 1),
        (number, "1e-3", 0.001),
        (path, "a/b", Path("a/b")),
        (json_object, '{"a": [1]}', {"a": [1]}),
    ],
)
def test_arguments_are_parsed(kind, text, value):
    assert kind(text) == value


@each(
    "kind,text,message",
    [
        (port, "-1", "expected an integer from 0 to 65535, got '-1'."),
        (port, "65536", "expected an integer from 0 to 65535, got '65536'."),
        (natural, "-1", "expected an integer from 0 to 2**63 - 1, got '-1'."),
        (natural, "1" + "0" * 5000, "got '1" + "0" * 38 + "... (5003 characters)."),
        (natural, str(2**63), "got '9223372036854775808'."),
        (positive, "0", "expected an integer from 1 to 2**63 - 1, got '0'."),
        (number, "x", "expected a number such as 0.01, got 'x'."),
        (path, "", "expected a path, got ''."),
        (path, "a\0b", "expected a path, got 'a\\x00b'."),
        (json_object, "blocks=2", "a JSON object such as '{\"blocks\": 2}', got 'blocks=2'."),
        (json_object, "[1]", "got '[1]'."),
        (json_object, "[" * 100_000, "... (100002 characters)."),
        (json_object, '{"a": ' + "1" * 5000 + "}", "(5009 characters)."),
    ],
)
def test_invalid_arguments_are_shown(kind, text, message):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        kind(text)
    assert str(caught.value).endswith(message)


@each(
    "flags,message",
    [
        ("--on x", "--on: expected one of test, validation, got 'x'."),
        ("--count x", "--count: expected an integer from 1 to 2**63 - 1, got 'x'."),
        ("--count", "--count: expected one argument. Try `prog --help`."),
        ("--no", "unrecognized arguments: --no. Try `prog --help`."),
    ],
)
def test_parser_errors_have_one_line(flags, message):
    parser = Parser("prog")
    parser.add_argument("--on", choices=["test", "validation"])
    parser.add_argument("--count", type=positive)
    with pytest.raises(ArgumentError) as caught:
        parser.parse_args(flags.split())
    assert str(caught.value) == message

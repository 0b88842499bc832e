"""The load test in short form: right answers for several clients, also while a model trains."""

import pytest

from tests.playground import load

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("flags", [[], ["--training"]], ids=["idle", "training"])
def test_clients_at_once_get_right_answers(flags, tmp_path, capsys):
    flags = ["--clients", "16", "--seconds", "2", "--runs", str(tmp_path / "runs"), *flags]
    assert load.main(flags) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "; 0 wrong answers" in out
    assert "--training" not in flags or "training: (200, {'name': 'DigitsCNN-digits'})" in out


def test_wrong_answers_are_found():
    expected = {"probabilities": [0.25, 0.75], "image": "AA=="}
    assert load.find_problem((200, expected), expected) == ""
    assert load.find_problem((503, {"error": "busy"}), expected) == "status 503: {'error': 'busy'}"
    other = expected | {"probabilities": [0.75, 0.25]}
    assert load.find_problem((200, other), expected).startswith("probabilities")
    assert load.find_problem((200, expected | {"image": "AQ=="}), expected) == "another image"

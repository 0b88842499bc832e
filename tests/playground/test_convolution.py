"""The Convolution tab's routes."""

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import random
from tinygrad_np.cli.models import built_in_models
from tinygrad_np.data.filters import FILTERS
from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.settings import Settings

pytestmark = pytest.mark.slow

REQUEST = {
    "input": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    "kernel": [[1, 0], [0, -1]],
    "divisor": 1,
    "kind": "conv",
    "padding": 0,
    "stride": 1,
    "dilation": 1,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return create_app(Settings(runs=tmp_path_factory.mktemp("runs"))).test_client()


def window_of(padded, shape, row, column, stride, dilation):
    rows = stride * row + dilation * np.arange(shape[0])
    columns = stride * column + dilation * np.arange(shape[1])
    return padded[np.ix_(rows, columns)]


@each(
    ("kind", "shape", "padding", "stride", "dilation"),
    [
        ("conv", (3, 3), 0, 1, 1),
        ("conv", (2, 5), 3, 2, 2),
        ("conv", (1, 1), 7, 3, 7),
        ("max", (3, 2), 1, 1, 1),
        ("max", (3, 3), 2, 2, 2),
        ("avg", (2, 2), 1, 2, 1),
        ("avg", (3, 3), 0, 1, 3),
    ],
)
def test_outputs_match_their_definition(kind, shape, padding, stride, dilation, client):
    generator = np.random.default_rng(0)
    matrix = generator.integers(-9, 10, (9, 8)).astype(float)
    kernel = generator.integers(-9, 10, shape).astype(float)
    answer = client.post(
        "/api/convolve",
        json={
            "input": matrix.tolist(),
            "kernel": kernel.tolist(),
            "divisor": 4,
            "kind": kind,
            "padding": padding,
            "stride": stride,
            "dilation": dilation,
        },
    ).json
    found = np.array(answer["output"])
    border = -np.inf if kind == "max" else 0
    padded = np.pad(matrix, padding, constant_values=border)
    sizes = [
        (length + 2 * padding - dilation * (side - 1) - 1) // stride + 1
        for length, side in zip(matrix.shape, shape, strict=True)
    ]
    assert found.shape == tuple(sizes)
    take = {"conv": lambda w: (w * kernel).sum() / 4, "max": np.max, "avg": np.mean}[kind]
    for row, column in np.ndindex(*sizes):
        window = window_of(padded, shape, row, column, stride, dilation)
        assert found[row, column] == pytest.approx(take(window), abs=1e-12)
    if kind == "max":
        assert found.tolist() == matrix.reshape(-1)[np.array(answer["winners"])].tolist()
    else:
        assert answer["winners"] is None


@each(
    ("change", "words"),
    [
        ({"input": []}, "`body.input` to be a matrix of 1x1 to 28x28 numbers from -1e6 to 1e6"),
        ({"input": [[]]}, "`body.input`"),
        ({"input": [[1, 2], [3]]}, "`body.input`"),
        ({"input": [[1, True]]}, "`body.input`"),
        ({"input": [["1"]]}, "`body.input`"),
        ({"input": [[2e6]]}, "`body.input`"),
        ({"input": [[10**400]]}, "`body.input`"),
        ({"input": [[0] * 29]}, "`body.input`"),
        ({"input": [[0]] * 29}, "`body.input`"),
        ({"input": 3}, "`body.input`"),
        ({"input": [3]}, "`body.input`"),
        ({"kernel": [[0] * 8]}, "`body.kernel` to be a matrix of 1x1 to 7x7"),
        ({"kernel": None}, "`body.kernel`"),
        ({"divisor": 0}, "`body.divisor` to be a number from 1 to 10000, got 0"),
        ({"kind": "min"}, "`body.kind` to be one of conv, max, avg, got 'min'"),
        ({"kind": ["conv"]}, "`body.kind`"),
        ({"padding": 8}, "`body.padding` to be an integer from 0 to 7, got 8"),
        ({"padding": -1}, "`body.padding`"),
        ({"stride": 0}, "`body.stride` to be an integer from 1 to 7, got 0"),
        ({"stride": 1.5}, "`body.stride`"),
        ({"dilation": 8}, "`body.dilation`"),
        ({"more": 1}, "a dict with the keys"),
        ({"dilation": 3}, "conv2d: expected the window to fit into the image, got kernel (2, 2)"),
        ({"kind": "max", "kernel": [[0] * 4]}, "max_pool2d: expected the window to fit"),
        ({"kind": "avg", "padding": 2}, "avg_pool2d: expected `padding` to be at most half of"),
    ],
)
def test_requests_that_do_not_fit_are_refused(change, words, client):
    answer = client.post("/api/convolve", json=REQUEST | change)
    assert answer.status_code == 400
    assert words in answer.json["error"]


def test_a_window_of_padding_has_no_maximum(client):
    change = {"input": [[5] * 4] * 4, "kind": "max", "padding": 4, "dilation": 7}
    request = REQUEST | change
    answer = client.post("/api/convolve", json=request).json
    assert answer["output"][0] == [5, None, None, None, 5]
    assert answer["winners"][0] == [15, None, None, None, 12]


def test_kernels_are_the_ten_classic_filters(client):
    found = client.get("/api/kernels").json["kernels"]
    assert [(one["name"], one["weights"], one["divisor"]) for one in found] == [
        (name, weights, divisor) for name, (weights, divisor) in FILTERS.items()
    ]
    assert len(found) == 10


def test_every_picture_can_be_convolved(client):
    pictures = client.get("/api/pictures").json["pictures"]
    assert {one["group"] for one in pictures} == {"Matrices", "Digits, 8x8", "Digits, 28x28"}
    assert len({(one["group"], one["name"]) for one in pictures}) == len(pictures) == 26
    for one in pictures:
        answer = client.post("/api/convolve", json=REQUEST | {"input": one["values"]})
        assert answer.status_code == 200
        assert np.shape(answer.json["output"]) == tuple(np.subtract(np.shape(one["values"]), 1))


def test_layers_of_every_model_with_maps(client):
    models = {one["name"]: one for one in client.get("/api/layers").json["models"]}
    assert {"MnistCNN", "ResNet", "DigitsCNN"} <= set(models) <= set(built_in_models())
    assert models["MnistCNN"]["side"] == 28
    assert models["DigitsCNN"]["side"] == 8
    assert [(one["name"], one["height"]) for one in models["MnistCNN"]["layers"]] == [
        ("conv1", 28),
        ("pool", 14),
        ("conv2", 14),
        ("pool (call 2)", 7),
    ]


def test_receptive_field_of_a_cell(client):
    request = {"model": "DigitsCNN", "layer": "pool", "row": 0, "column": 1}
    answer = client.post("/api/receptive-field", json=request).json
    assert answer["jump"] == [2, 2]
    assert [one["name"] for one in answer["layers"]] == ["input", "conv", "pool"]
    assert answer["layers"][0]["cells"] == ["01111000"] * 3 + ["00000000"] * 5
    assert answer["layers"][1]["cells"] == ["00110000"] * 2 + ["00000000"] * 6
    assert answer["layers"][2]["cells"] == ["0100", "0000", "0000", "0000"]


@each(
    ("change", "words"),
    [
        ({"model": "Nothing"}, "receptive-field: expected `model` to be one of DigitsCNN"),
        ({"model": "../secret.py:Net"}, "receptive-field: expected `model` to be one of DigitsCNN"),
        ({"layer": "fc"}, "DigitsCNN: expected `layer` to be one of conv, pool, got 'fc'"),
        ({"row": 4}, "DigitsCNN: expected `row` to be an integer from 0 to 3"),
        ({"column": 28}, "`body.column` to be an integer from 0 to 27, got 28"),
    ],
)
def test_cells_outside_the_models_are_refused(change, words, client):
    request = {"model": "DigitsCNN", "layer": "pool", "row": 0, "column": 1}
    answer = client.post("/api/receptive-field", json=request | change)
    assert answer.status_code == 400
    assert words in answer.json["error"]


NETS = """
from tinygrad_np import nn

class Net(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(1, 2, 3, stride=3)
        self.fc = nn.Linear(162, 10)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))

class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(1)
"""


def test_models_of_the_user(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    net, flat = (f"{tmp_path / 'nets.py'}:{name}" for name in ("Net", "Flat"))
    client = create_app(Settings(runs=tmp_path, models=(net, flat))).test_client()
    models = {one["name"]: one for one in client.get("/api/layers").json["models"]}
    assert [one["name"] for one in models["Net"]["layers"]] == ["conv"]
    assert models["Flat"]["layers"] == []
    assert "expected a layer that returns feature maps" in models["Flat"]["error"]
    request = {"model": "Net", "layer": "conv", "row": 1, "column": 2}
    answer = client.post("/api/receptive-field", json=request).json
    assert answer["jump"] == [3, 3]
    assert answer["layers"][0]["cells"][3] == "0" * 6 + "111" + "0" * 19


def test_a_model_of_the_user_that_cannot_be_constructed_stops_the_start(tmp_path):
    with pytest.raises(ArgumentError, match="expected an existing Python file"):
        create_app(Settings(runs=tmp_path, models=(f"{tmp_path}/none.py:Net",)))


def test_models_leave_the_default_generator_alone(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    before = random.default_generator().bit_generator.state
    settings = Settings(runs=tmp_path, models=(f"{tmp_path / 'nets.py'}:Net",))
    create_app(settings).test_client().get("/api/layers")
    assert random.default_generator().bit_generator.state == before

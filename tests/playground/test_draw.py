"""The routes of the Draw tab: predictions, a look inside, the graph, and corrections."""

import base64
import io
import threading

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from tests.playground.test_library import make_run
from tests.tools import rng
from tinygrad_np import Tensor, data, nn, optim, train, viz
from tinygrad_np.cli.parts import make_model
from tinygrad_np.data.photo import load_digit
from tinygrad_np.playground.corrections import Corrections
from tinygrad_np.playground.draw import add_routes, inspect_image
from tinygrad_np.playground.http import answer_error
from tinygrad_np.playground.library import Library, Loaded

pytestmark = pytest.mark.slow


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "bundled", model="MnistCNNLight")
    make_run(tmp_path / "runs" / "small")
    return tmp_path / "runs"


@pytest.fixture
def library(runs):
    return Library(runs, runs.parent / "bundled" / "model.safetensors")


@pytest.fixture
def client(runs, library):
    app = Flask(__name__)
    app.register_error_handler(Exception, answer_error)
    add_routes(app, library, Corrections(runs / "corrections.safetensors"))
    return app.test_client()


def picture_of(*boxes, size=(280, 280)):
    """Return the bytes of a PNG with black boxes on white."""
    sheet, buffer = Image.new("L", size, "white"), io.BytesIO()
    for box in boxes:
        sheet.paste("black", box)
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


ONE = picture_of((130, 60, 150, 220))


BLANK = base64.b64encode(bytes(784)).decode()


def post(client, content, model="bundled"):
    return client.post(f"/api/predict?model={model}", data=content, content_type="image/png")


def array_of(text, *shape):
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def test_models_are_described(client, runs):
    make_run(runs / "clothes", model="LeNet", data="fashion-mnist")
    (runs / "half").mkdir()
    (runs / "half" / "config.json").write_text("{")
    found = client.get("/api/models").json
    bundled, *others = found["models"]
    assert bundled == {
        "name": "bundled",
        "title": "Bundled model",
        "model": "MnistCNNLight",
        "data": "digits",
        "side": 28,
        "classes": list("0123456789"),
        "note": "trained on 1438 small digits; reads 89% of MNIST's test digits; train MnistCNN on "
        "MNIST for 99%",
        "finished": True,
        "corrections": True,
    }
    # Corrections are 28x28 digits.
    assert {one["name"]: one["corrections"] for one in others} == {
        "run/clothes": False,
        "run/small": False,
    }
    assert list(found["left_out"]) == ["half"]


def test_a_prediction_is_that_of_the_model_on_the_image_of_predict(client, library, tmp_path):
    answer = post(client, ONE).json
    (tmp_path / "one.png").write_bytes(ONE)
    image = load_digit(tmp_path / "one.png")
    np.testing.assert_array_equal(array_of(answer["image"], 1, 28, 28), image)
    loaded = library.load("bundled")
    expected = loaded.model(Tensor(loaded.inputs(image))).softmax().data[0]
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-6)
    assert not answer["empty"]


def test_models_of_8x8_digits_get_8x8_images(client):
    answer = post(client, ONE, "run/small").json
    assert (answer["side"], len(answer["probabilities"])) == (8, 10)
    assert array_of(answer["image"], 8, 8).max() == 255


def test_warnings_are_those_of_predict(client):
    two = post(client, picture_of((60, 60, 80, 220), (200, 60, 220, 220))).json
    assert two["warnings"][0] == "Expected one digit, found 2 shapes. Only the largest was read."
    assert two["warnings"][1].startswith("Low confidence (")


def test_models_of_clothes_are_not_asked_whether_the_shape_is_a_digit(client, library, runs):
    make_run(runs / "clothes", model="LeNet", data="fashion-mnist")
    two = picture_of((60, 60, 80, 220), (200, 60, 220, 220))
    found = post(client, two, "run/clothes").json["warnings"]
    assert found[0] == (
        "Expected one piece of clothing, found 2 shapes. Only the largest was read."
    )
    assert found[1].startswith("Low confidence (")
    assert "%). The piece of clothing is hard to read" in found[1]
    library.load("run/clothes").model.fc3.bias.data[0] = 100
    assert post(client, ONE, "run/clothes").json["warnings"] == []


@pytest.mark.parametrize("content", [picture_of(), picture_of((10, 10, 11, 11))])
def test_an_empty_page_is_no_error(client, content):
    answer = post(client, content)
    assert answer.status_code == 200
    assert answer.json["empty"]
    assert answer.json["probabilities"] == []
    assert len(answer.json["warnings"]) == 1
    assert not array_of(answer.json["image"], 28, 28).any()


@pytest.mark.parametrize(
    ("content", "kind", "model", "status", "words"),
    [
        (b"", "image/png", "bundled", 422, "got another format"),
        (b"GIF89a", "image/gif", "bundled", 422, "got another format"),
        (ONE[:200], "image/png", "bundled", 422, "damaged"),
        (ONE, "text/plain", "bundled", 415, "expected a picture"),
        (ONE, "image/png", "run/none", 400, "expected 'bundled' or the name of a run"),
        (ONE, "image/png", "run/../bundled", 400, "expected 'bundled' or the name of a run"),
        (picture_of(size=(6000, 6000)), "image/png", "bundled", 422, "at most 30 million pixels"),
    ],
)
def test_bad_pictures_and_models_are_refused(client, content, kind, model, status, words):
    answer = client.post(f"/api/predict?model={model}", data=content, content_type=kind)
    assert answer.status_code == status
    assert words in answer.json["error"]


def test_messages_name_the_picture_by_where_it_comes_from(client):
    for query, who in (("", "The drawing: expected"), ("&upload=", "This file: expected")):
        path = f"/api/predict?model=bundled{query}"
        flat = client.post(path, data=picture_of(), content_type="image/png").json
        assert flat["warnings"][0].startswith(f"{who} dark ink")
        fake = client.post(path, data=b"text", content_type="image/png").json
        assert fake["error"].startswith(f"{who} a PNG, JPEG,")
        text = client.post(path, data=b"text", content_type="text/plain").json
        assert text["error"].startswith(f"{who} a picture, such as a PNG or JPEG file")


def test_infinite_logits_are_refused(client, library):
    loaded = library.load("bundled")
    loaded.model.fc2.bias.data[0] = np.inf
    answer = post(client, ONE)
    assert answer.status_code == 400
    assert answer.json["error"] == (
        "Bundled model: expected finite logits, got nan or inf. Choose another model."
    )


def inspect(client, model="bundled"):
    image = post(client, ONE, model).json["image"]
    return image, client.post("/api/inspect", json={"model": model, "image": image}).json


def test_the_maps_of_each_layer_are_its_outputs(client, library):
    text, found = inspect(client)
    layers = found["layers"]
    assert [(one["path"], one["kind"], one["shape"]) for one in layers] == [
        ("conv1", "Conv2d", [8, 28, 28]),
        ("relu", "ReLU", [8, 28, 28]),
        ("pool", "MaxPool2d", [8, 14, 14]),
        ("conv2", "Conv2d", [16, 14, 14]),
        ("relu", "ReLU", [16, 14, 14]),
        ("pool", "MaxPool2d", [16, 7, 7]),
        ("fc1", "Linear", [32]),
        ("relu", "ReLU", [32]),
        ("fc2", "Linear", [10]),
    ]
    loaded = library.load("bundled")
    inputs = loaded.inputs(array_of(text, 1, 28, 28))
    conv = loaded.model.conv1(Tensor(inputs)).data[0]
    low, high = layers[0]["low"], layers[0]["high"]
    np.testing.assert_allclose([low, high], [conv.min(), conv.max()], rtol=1e-5)
    maps = np.stack([array_of(one, 28, 28) for one in layers[0]["maps"]])
    np.testing.assert_allclose(
        low + maps / 255 * (high - low), conv, atol=0.51 * (high - low) / 255
    )
    assert (layers[-1]["height"], layers[-1]["width"], len(layers[-1]["maps"])) == (1, 10, 1)


def test_maps_of_infinite_values_are_clipped_to_the_finite_ones(library):
    class Infinite(nn.Module):
        def __init__(self):
            self.flatten = nn.Flatten()
            self.last = nn.Linear(784, 4)

        def forward(self, x):
            return self.last(self.flatten(x))

    loaded = Loaded(library.load("bundled").choice, Infinite().eval())
    loaded.model.last.weight.data[...] = 0
    for bias, levels, ends in (
        ([np.inf, -np.inf, 3, -2], [255, 0, 255, 0], (-2, 3)),
        ([np.inf, 1, 1, -np.inf], [0, 0, 0, 0], (1, 1)),
        ([np.nan, 2, 1, np.inf], [0, 255, 128, 255], (0, 2)),
        ([np.nan, np.inf, -np.inf, np.nan], [0, 0, 0, 0], (0, 0)),
    ):
        loaded.model.last.bias.data[...] = bias
        (layer,) = inspect_image(loaded, np.ones((1, 28, 28), np.uint8))["layers"]
        assert array_of(layer["maps"][0], 4).tolist() == levels
        assert (layer["low"], layer["high"]) == ends


def test_saliency_is_scaled_to_its_largest_value(client, library):
    text, found = inspect(client)
    loaded = library.load("bundled")
    (expected,) = viz.saliency_map(loaded.model, loaded.inputs(array_of(text, 1, 28, 28)))
    shown = array_of(found["saliency"], 28, 28)
    np.testing.assert_allclose(shown / 255, expected / expected.max(), atol=0.51 / 255)


class Wide(nn.Module):
    """Returns 20 maps and a vector of 300."""

    def __init__(self):
        self.conv = nn.Conv2d(1, 20, 1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(28 * 28 * 20, 300)
        self.out = nn.Linear(300, 10)

    def forward(self, x):
        return self.out(self.fc(self.flatten(self.conv(x))))


def test_large_layers_are_cut_and_averaged(library):
    wide = Loaded(library.load("bundled").choice, Wide().eval())
    wide.model.fc.weight.data[...] = 0
    wide.model.fc.bias.data[...] = np.linspace(0, 1, 300)
    found = inspect_image(wide, np.ones((1, 28, 28), np.uint8))["layers"]
    conv, fc, _ = found
    assert (conv["shape"], len(conv["maps"])) == ((20, 28, 28), 16)
    assert (fc["shape"], fc["height"], fc["width"]) == ((300,), 1, 128)
    row = array_of(fc["maps"][0], 128) / 255
    np.testing.assert_allclose(row, np.linspace(0, 1, 128), atol=0.01)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "bundled", "image": ""}, "expected `image` to be 28x28 bytes in base64"),
        ({"model": "bundled", "image": "A" * 1000}, "got 1000 characters that do not decode"),
        ({"model": "bundled", "image": "é" * 1046}, "expected `image`"),
        ({"model": "bundled", "image": 3}, "expected `body.image` to be a string"),
        ({"model": "run/x", "image": ""}, "or the name of a run"),
        ({"image": ""}, "a dict with the keys"),
    ],
)
def test_bad_images_are_refused(client, body, words):
    answer = client.post("/api/inspect", json=body)
    assert answer.status_code == 400
    assert words in answer.json["error"]


def test_the_graph_has_the_values_of_this_image_and_its_own_policy(client):
    image = base64.urlsafe_b64encode(rng().integers(0, 256, 64, np.uint8).tobytes()).decode()
    answer = client.get("/graph", query_string={"model": "run/small", "image": image})
    assert answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("frame-ancestors 'self'")
    assert "DigitsCNN" in answer.text
    other = client.get("/graph", query_string={"model": "run/small", "image": "A" * 86 + "=="})
    assert other.text != answer.text
    assert client.get("/graph?model=run/small&image=x").status_code == 400


def test_corrections_are_counted_saved_and_removed(client, runs):
    image = post(client, ONE).json["image"]
    empty = {"count": 0, "most": 1000, "counts": [0] * 10}
    assert client.get("/api/corrections").json == empty
    one = client.post("/api/corrections", json={"image": image, "label": 1}).json
    assert (one["count"], one["counts"][1]) == (1, 1)
    saved = train.load(runs / "corrections.safetensors")
    np.testing.assert_array_equal(saved["images"][0], array_of(image, 1, 28, 28))
    assert client.delete("/api/corrections").json == empty
    assert client.delete("/api/corrections").status_code == 400


@pytest.mark.parametrize(
    ("image", "label"),
    [("", 1), ("A" * 1046, 1), (None, 1), (ONE.hex(), 1), ("A", 10), (BLANK, 1)],
)
def test_bad_corrections_are_refused(client, image, label):
    answer = client.post("/api/corrections", json={"image": image, "label": label})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("corrections: expected")
    assert client.get("/api/corrections").json["count"] == 0


def test_concurrent_requests_get_the_same_answers_as_sequential_ones(client, library):
    """Also while a training step runs in another thread."""
    pictures = [
        picture_of((60 + 10 * n, 50, 80 + 15 * n, 230), (60, 50, 120, 60 + 4 * n)) for n in range(6)
    ]
    names = ["bundled", "run/small"]
    expected = {
        (name, n): (post(client, one, name).json, inspect_of(client, post(client, one, name), name))
        for name in names
        for n, one in enumerate(pictures)
    }
    stop, wrong, rounds = threading.Event(), [], []

    def train_on():
        model = make_model("DigitsCNN", {})
        loader = data.DataLoader(data.digits()[0], 64, shuffle=True, seed=0)
        trainer = train.Trainer(model, optim.SGD(model.parameters(), 0.01), Tensor.cross_entropy)
        while not stop.is_set():
            trainer.fit(loader, 1)

    def ask(seed):
        order = np.random.default_rng(seed).permutation(12)
        for place in order:
            name, n = names[place % 2], place // 2
            answer = post(client.application.test_client(), pictures[n], name)
            inside = inspect_of(client.application.test_client(), answer, name)
            if not agree((answer.json, inside), expected[name, n]):
                wrong.append((name, n))
        rounds.append(seed)

    trainer = threading.Thread(target=train_on)
    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    trainer.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    trainer.join()
    assert (len(rounds), wrong) == (4, [])


def inspect_of(client, answer, model):
    return client.post("/api/inspect", json={"model": model, "image": answer.json["image"]}).json


def agree(found, expected):
    """Return whether two answers agree up to rounding."""
    (answer, inside), (other, other_inside) = found, expected
    probabilities = answer.pop("probabilities"), other["probabilities"]
    return (
        answer == {name: value for name, value in other.items() if name != "probabilities"}
        and np.allclose(*probabilities, rtol=1e-5)
        and len(inside["layers"]) == len(other_inside["layers"])
        and all(
            close(one["maps"], another["maps"])
            for one, another in zip(inside["layers"], other_inside["layers"], strict=True)
        )
        and close([inside["saliency"]], [other_inside["saliency"]])
    )


def close(texts, others):
    """Return whether bytes differ by at most one level."""
    pairs = zip(texts, others, strict=True)
    return all(
        np.abs(array_of(one, -1).astype(int) - array_of(other, -1)).max() <= 1
        for one, other in pairs
    )

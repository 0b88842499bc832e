"""Filters, feature maps, attention maps and histograms show the values of the network."""

from itertools import pairwise

import numpy as np
import pytest

from tests.tools import each, normal
from tests.viz.tools import Changing, arrays_of, check_layout, drawn_texts, everything, trained
from tinygrad_np import Tensor, data, manual_seed, nn, no_grad, optim, random, train, viz
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.viz.inside import layer_outputs

pytestmark = pytest.mark.slow


def labels_of(figure):
    """Return the row labels of panels."""
    return [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]


def test_filters_of_one_channel_are_drawn_in_rows_of_eight():
    conv = nn.Conv2d(1, 10, 3)
    figure = viz.filters(conv)
    np.testing.assert_array_equal(arrays_of(figure), conv.weight.data[:, 0])
    assert labels_of(figure) == ["1 to 8", "9 to 10"]
    assert figure.get_suptitle() == "10 filters of 3x3"
    one = viz.filters(normal(1, 1, 5, 5))
    assert (labels_of(one), one.get_suptitle()) == (["1"], "1 filter of 5x5")
    limit = np.abs(conv.weight.data).max()
    assert {image.get_clim() for axes in figure.axes for image in axes.images} == {(-limit, limit)}


def test_filters_of_several_channels_have_a_row_each():
    weight = normal(3, 2, 5, 5)
    figure = viz.filters(weight)
    np.testing.assert_array_equal(arrays_of(figure), weight.reshape(6, 5, 5))
    assert labels_of(figure) == ["filter 1", "filter 2", "filter 3"]
    cut = viz.filters(weight, count=1)
    np.testing.assert_array_equal(arrays_of(cut), weight[0, :1])
    assert cut.get_suptitle().endswith("the first 1 of each")


def test_filters_of_three_channels_are_in_color():
    weight = normal(2, 3, 4, 4)
    shown = arrays_of(viz.filters(Tensor(weight)))
    expected = weight.transpose(0, 2, 3, 1) / (2 * np.abs(weight).max()) + 0.5
    np.testing.assert_allclose(shown, expected)


def test_feature_maps_are_the_outputs_of_the_layers():
    model, _ = trained()
    dataset = data.digits()[1]
    inputs, _ = dataset.batch(slice(1))
    figure = viz.feature_maps(model, dataset, count=3)
    with no_grad():
        model.eval()
        conv = model.conv(Tensor(inputs))
        norm = model.norm(conv)
        expected = [x.data[0, :3] for x in (conv, norm, norm.relu())]
    np.testing.assert_array_equal(arrays_of(figure)[0], inputs[0, 0])
    np.testing.assert_allclose(arrays_of(figure)[1:10], np.concatenate(expected), rtol=1e-6)
    assert labels_of(figure)[2] == "relu\n(ReLU)\nfirst 3 of 4 maps, 8x8"
    relu = [axes.images[0].get_clim() for axes in figure.axes if axes.images][7:10]
    assert {low for low, _ in relu} == {0}
    chosen = viz.feature_maps(model, inputs[0], layers=["norm"])
    assert labels_of(chosen) == ["norm\n(BatchNorm2d)\n4 maps, 8x8"]


def test_feature_maps_leave_the_model_unchanged_and_label_each_call():
    model, _ = trained()
    manual_seed(0)
    before, generator = everything(model), random.state()
    check_layout(viz.feature_maps(model, data.digits()[1]))
    assert everything(model) == before
    assert random.state() == generator
    relu = nn.ReLU()
    twice = viz.feature_maps(nn.Sequential(relu, nn.MaxPool2d(1), relu), np.ones((1, 4, 4)))
    assert len(labels_of(twice)) == 3


def test_layer_outputs_have_one_entry_per_call():
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Sequential(nn.MaxPool2d(2), relu), nn.Flatten())
    image = normal(1, 1, 4, 4)
    found = layer_outputs(model, image)
    assert [(path, type(module)) for path, module, _ in found] == [
        ("0", nn.ReLU),
        ("1.0", nn.MaxPool2d),
        ("0", nn.ReLU),
        ("2", nn.Flatten),
    ]
    np.testing.assert_array_equal(found[0][2], np.maximum(image, 0))
    assert [out.shape for *_, out in found[1:]] == [(1, 1, 2, 2), (1, 1, 2, 2), (1, 4)]
    assert [path for path, *_ in layer_outputs(model, image, ["1"])] == ["1"]


def test_layer_outputs_are_those_before_changes_in_place():
    class Shifted(nn.Module):
        """A layer whose output is changed in place."""

        def __init__(self):
            self.relu = nn.ReLU()

        def forward(self, x):
            x = self.relu(x)
            x += 1
            return x

    ((_, _, out),) = layer_outputs(Shifted(), np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(out, [[1, 1]])


def test_attention_weights_are_those_of_the_layer():
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = Tensor(normal(3, 5, 8).astype(np.float32))

    class Block(nn.Module):
        """Causal self-attention that returns no weights."""

        def __init__(self):
            self.attend = layer

        def forward(self, x):
            """Return the output."""
            return self.attend(x, x, x, need_weights=False, is_causal=True)[0]

    block = Block()
    found = viz.attention_weights(block, x.numpy())
    assert layer.training
    layer.eval()
    _, expected = layer(x, x, x, is_causal=True, average_attn_weights=False)
    assert list(found) == ["attend"]
    np.testing.assert_allclose(found["attend"], expected.data, rtol=1e-5)


def test_attention_weights_respect_a_float_mask():
    x, mask = Tensor(normal(1, 3, 4)), np.where(np.tri(3) > 0, 0.0, -np.inf)
    found = viz.attention_weights(lambda x: x.scaled_dot_product_attention(x, x, Tensor(mask)), x)
    (weights,) = found.values()
    assert (weights[0][np.tri(3) == 0] == 0).all()
    np.testing.assert_allclose(weights[0].sum(-1), 1, rtol=1e-6)


def test_attention_weights_of_functions_are_found_call_by_call():
    x = Tensor(normal(2, 4, 3).astype(np.float32))
    found = viz.attention_weights(
        lambda x: x.scaled_dot_product_attention(x, x).scaled_dot_product_attention(x, x), x
    )
    assert {path: array.shape for path, array in found.items()} == {
        "attention": (2, 4, 4),
        "attention (call 2)": (2, 4, 4),
    }


def test_attention_weights_are_softmaxes_over_the_last_axis():
    """A softmax over channels (N, C, H, W) or classes (N, C) is not attention."""
    x = Tensor(normal(2, 4, 3).astype(np.float32))

    def function(x):
        return x.softmax(axis=1), x.softmax(axis=0), x[0].softmax(axis=1), x.softmax(axis=2)

    found = viz.attention_weights(function, x)
    assert list(found) == ["attention"]
    np.testing.assert_array_equal(found["attention"], x.softmax(axis=2).data)


def test_feature_maps_and_attention_weights_are_those_of_evaluation():
    """Dropout in training mode would set half of the values to 0."""
    image = np.ones((1, 8, 8), np.float32)
    figure = viz.feature_maps(nn.Sequential(nn.Dropout(0.5)), image)
    np.testing.assert_array_equal(arrays_of(figure)[1], image[0])
    found = viz.attention_weights(nn.Sequential(nn.Dropout(0.5), nn.Softmax(-1)), image)
    np.testing.assert_allclose(found["1"], np.full((1, 8, 8), 1 / 8))


def test_attention_draws_each_head_with_tokens():
    weights = np.tril(np.ones((2, 3, 3))) / np.arange(1, 4)[:, None]
    figure = viz.attention({"block.attend": weights[None]}, queries="abc")
    np.testing.assert_array_equal(arrays_of(figure), weights)
    first = figure.axes[0]
    assert first.get_title() == "block.attend, head 1"
    for ticks in (first.get_xticklabels(), first.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["a", "b", "c"]
    assert (first.get_xlabel(), first.get_ylabel()) == ("key", "query")
    check_layout(figure)


def ticks_of(axes):
    """Return the labels of the rows and of the columns."""
    return tuple(
        [tick.get_text() for tick in ticks]
        for ticks in (axes.get_yticklabels(), axes.get_xticklabels())
    )


def test_attention_names_self_and_cross_attention():
    """Rows and columns have the names whose number fits."""
    weights = {"encoder": np.eye(3), "self": np.eye(2), "cross": np.ones((2, 3)) / 3}
    figure = viz.attention(weights, queries="ab", keys="xyz")
    assert [ticks_of(axes) for axes in figure.axes[:3]] == [
        (list("xyz"), list("xyz")),
        (list("ab"), list("ab")),
        (list("ab"), list("xyz")),
    ]
    with pytest.raises(ShapeError, match=r"expected 2 or 3 names in `queries`, .*, got 4\."):
        viz.attention(weights, queries="abcd")


def test_attention_labels_do_not_overlap():
    """Words are rotated and characters are not; the color scale ends at the largest weight."""
    text = "the cat sat on the mat"
    figure = viz.attention(np.full((2, 22, 22), 1 / 22), text)
    check_layout(figure)
    first = figure.axes[0]
    assert ticks_of(first) == (list(text.replace(" ", "␣")),) * 2
    assert {tick.get_rotation() for tick in first.get_xticklabels()} == {0}
    assert first.images[0].get_clim() == (0, pytest.approx(1 / 22))
    boxes = drawn_texts(figure)
    for ticks in (first.get_xticklabels(), first.get_yticklabels()):
        for one, other in pairwise(boxes[tick] for tick in ticks):
            assert not one.overlaps(other)
    words = viz.attention(np.eye(2), ["cat", "sat"]).axes[0]
    assert {tick.get_rotation() for tick in words.get_xticklabels()} == {90}


@pytest.mark.parametrize(("heads", "length"), [(1, 60), (6, 30)])
def test_attention_of_many_positions_labels_every_kth(heads, length):
    names = [f"n{k}" for k in range(length)]
    figure = viz.attention(np.ones((heads, length, length)), names)
    shown, _ = ticks_of(figure.axes[0])
    assert shown == names[:: length // len(shown)]
    assert figure.get_figwidth() < 4 * heads + 1
    check_layout(figure)


def test_histograms_count_weights_and_gradients():
    model = Changing()
    record = viz.Histograms(every_steps=2, bins=7)
    trainer = train.Trainer(model, optim.SGD(model.parameters(), lr=0.1), callbacks=[record])
    trainer.fit(data.DataLoader(data.digits()[0].first(80), batch_size=16), epochs=1)
    assert [step for step, _, _ in record.weights["fc.weight"]] == [2, 4]
    assert set(record.weights) == set(record.gradients) == set(dict(model.named_parameters()))
    record.record(model, 6)
    for where, values in (
        (record.weights, model.fc.weight),
        (record.gradients, model.fc.weight.grad),
    ):
        time, counts, edges = where["fc.weight"][-1]
        expected, expected_edges = np.histogram(values.data.astype(float), 7)
        assert time == 6
        np.testing.assert_array_equal(counts, expected)
        np.testing.assert_array_equal(edges, expected_edges)


def test_histograms_draw_a_column_per_record():
    model = Changing()
    record = viz.Histograms(bins=5)
    trainer = train.Trainer(model, optim.SGD(model.parameters(), lr=0.1), callbacks=[record])
    trainer.fit(data.DataLoader(data.digits()[0].first(32), batch_size=16), epochs=3)
    figure = viz.histograms(record)
    assert labels_of(figure)[0] == "fc.weight"  # the other parameters have few values
    left, right = figure.axes[:2]
    assert (left.get_xlabel(), left.get_title(), right.get_title()) == (
        *("epoch", "weights", "gradients"),
    )
    for axes, kind in ((left, record.weights), (right, record.gradients)):
        for mesh, (_, counts, _) in zip(axes.collections, kind["fc.weight"], strict=True):
            np.testing.assert_allclose(np.ravel(mesh.get_array()), counts / counts.max())
    check_layout(figure)
    chosen = viz.histograms(record, ["conv.bias", "fc.bias"])
    assert labels_of(chosen)[:2] == ["conv.bias", "fc.bias"]


def test_histograms_have_columns_of_one_width():
    """A parameter unfrozen late has no column where it had no gradient."""
    layer = nn.Linear(10, 10)
    record = viz.Histograms()
    for time in range(1, 9):
        if time in (4, 8):
            layer(Tensor(normal(2, 10).astype(np.float32))).sum().backward()
        else:
            layer.zero_grad()
        record.record(layer, time)
    axes = viz.histograms(record).axes[1]
    spans = [np.asarray(mesh.get_coordinates())[0, :, 0].tolist() for mesh in axes.collections]
    assert spans == [[3.5, 4.5], [7.5, 8.5]]


def test_frozen_parameters_have_weights_but_no_gradients():
    layer = nn.Linear(10, 10)
    record = viz.Histograms()
    record.record(layer, 1)
    assert record.gradients == {}
    figure = viz.histograms(record)
    assert [len(axes.collections) for axes in figure.axes[:2]] == [1, 0]
    assert [text.get_text() for text in figure.axes[1].texts] == ["no gradients"]


def test_values_that_are_not_finite_are_left_out():
    layer = nn.Linear(2, 2, bias=False)
    layer.load_state_dict({"weight": [[1.0, np.nan], [np.inf, 2.0]]})
    record = viz.Histograms()
    record.record(layer, 1)
    assert record.weights["weight"][0][1].sum() == 2


@each(
    ("call", "error", "message"),
    [
        (lambda: viz.filters(nn.Linear(3, 2)), ShapeError, "of shape (K, C, R, S), got (2, 3)."),
        (
            lambda: viz.filters(nn.Conv2d(1, 1, 1), count=0),
            ArgumentError,
            "filters: expected `count`",
        ),
        (
            lambda: viz.filters(nn.ReLU()),
            DtypeError,
            "filters: expected `layer` to be a Conv2d, for example model.conv1, got ",
        ),
        (
            lambda: viz.feature_maps(Changing(), np.zeros((1, 8, 8)), layers=["conv3"]),
            ArgumentError,
            "expected `layers` to be among conv, norm, relu, dropout, fc, got 'conv3'.",
        ),
        (
            lambda: viz.feature_maps(nn.Flatten(), np.zeros((1, 8, 8))),
            ArgumentError,
            "feature_maps: expected layers that return maps of shape (N, K, P, Q), got none.",
        ),
        (
            lambda: viz.attention({}),
            ArgumentError,
            "attention: expected attention weights, got none",
        ),
        (lambda: viz.attention(np.zeros(3)), ShapeError, "of shape (..., L, S), got (3,)."),
        (
            lambda: viz.attention(np.zeros((2, 3)), keys="ab"),
            ShapeError,
            "expected 3 names in `keys`, one per column of the weights, got 2.",
        ),
        (
            lambda: viz.histograms(viz.Histograms()),
            ArgumentError,
            "histograms: expected a Histograms callback that has recorded, got an empty one.",
        ),
        (lambda: viz.histograms(nn.ReLU()), DtypeError, "to be a Histograms callback, got "),
        (lambda: viz.histograms(viz.Histograms(), ["a"]), ArgumentError, "got 'a'."),
        (
            lambda: viz.Histograms(every_steps=0),
            ArgumentError,
            "Histograms: expected `every_steps`",
        ),
        (lambda: viz.Histograms(bins=0), ArgumentError, "Histograms: expected `bins`"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)

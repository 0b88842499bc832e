"""Helpers for tests of figures."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from tinygrad_np import data, nn, optim, train


def drawn_texts(figure):
    """Draw a figure; return each text that is drawn, with its box in pixels."""
    found, draw = {}, Text.draw

    def noted(self, *arguments, **options):
        if self.get_visible() and self.get_text().strip():
            found[self] = None
        return draw(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    return {text: text.get_window_extent(renderer) for text in found}


def check_layout(figure):
    """Check that no text leaves the figure, and that titles overlap no other text."""
    boxes = drawn_texts(figure)
    assert boxes
    outside = [
        text.get_text()
        for text, box in boxes.items()
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1
    ]
    assert outside == []
    titles = {axes.title for axes in figure.findobj(lambda one: hasattr(one, "title"))}
    if figure._suptitle is not None:
        titles.add(figure._suptitle)
    for first, second in combinations(boxes, 2):
        if first in titles or second in titles:
            a, b = boxes[first], boxes[second]
            gap = max(b.x0 - a.x1, a.x0 - b.x1, b.y0 - a.y1, a.y0 - b.y1)
            assert gap >= 0, f"{first.get_text()!r} overlaps {second.get_text()!r}"


def arrays_of(figure):
    """Return the arrays of all images in a figure, in drawing order."""
    return [np.asarray(one.get_array()) for axes in figure.axes for one in axes.images]


def titles_of(figure):
    """Return the titles of the axes that have one."""
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


class Changing(nn.Module):
    """A classifier of digits whose buffers, modes and generators a forward pass may change."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, generator=generator)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.5, generator=np.random.default_rng(1))
        self.fc = nn.Linear(256, 10, generator=generator)

    def forward(self, x):
        """Return logits."""
        return self.fc(self.dropout(self.relu(self.norm(self.conv(x)))).flatten(1))


def trained():
    """Return a Changing model after one epoch in training mode, with gradients, and its loader."""
    model = Changing()
    loader = data.DataLoader(data.digits()[0].first(64), batch_size=32, shuffle=True, seed=0)
    train.Trainer(model, optim.SGD(model.parameters(), lr=0.1)).fit(loader, 1)
    model.norm.eval()
    return model, loader


def everything(model):
    """Return weights, buffers, gradients, modes and generators, as comparable values."""
    return (
        {name: array.tobytes() for name, array in model.state_dict().items()},
        [parameter.grad.data.tobytes() for parameter in model.parameters()],
        [module.training for module in model.modules()],
        [len(module._forward_hooks) for module in model.modules()],
        model.dropout.generator.bit_generator.state,
    )

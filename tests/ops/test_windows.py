"""How window options appear in graph drawings."""

from tests.tools import normal
from tinygrad_np import Tensor, viz


def test_graph_drawings_show_short_window_options():
    x = Tensor(normal(1, 1, 6, 6), requires_grad=True)
    assert "kernel_size=2, stride=3" in viz.draw(x.max_pool2d(2, 3).sum()).source
    assert "stride=2" in viz.draw(x.conv2d(Tensor(normal(1, 1, 2, 2)), stride=2)).source
    assert "rule='linear'" in str(viz.draw(x.interpolate((3, 3)).sum()))
    values, indices = x.max_pool2d(return_indices=True)
    assert "index_add" in viz.draw(values.max_unpool2d(indices).sum()).source

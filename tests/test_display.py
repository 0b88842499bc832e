"""Tables, line charts and reprs that never raise."""

import math
from html.parser import HTMLParser

import pytest

from tests.tools import each
from tinygrad_np import display


class Checker(HTMLParser):
    """Collects the text of HTML, and checks that every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_repr_describes_an_error_instead_of_raising():
    class Half:
        @display.safe
        def __repr__(self):
            return self.missing

        @display.safe
        def _repr_html_(self):
            raise ValueError("a < b")

    assert repr(Half()).startswith("<Half: cannot be shown (AttributeError: ")
    assert Half()._repr_html_() == "&lt;Half: cannot be shown (ValueError: a &lt; b)&gt;"


def test_table_as_text():
    table = display.Table(
        ("op", "in", "calls", "ms"),
        [("mul", "fc", "1", "10.5"), ("add", "", "20", "3.0")],
        names=2,
        total=("total", "", "21", "13.5"),
        title="Profile",
        spans=(("", 2), ("all", 2)),
        marked=1,
        notes=("end",),
    )
    assert str(table).splitlines() == [
        "Profile",
        "           --- all ---",
        "op     in  calls    ms",
        "----------------------",
        "mul    fc      1  10.5",
        "add           20   3.0  *",
        "----------------------",
        "total         21  13.5",
        "end",
    ]


def test_table_as_html_escapes_its_cells_and_marks_a_row():
    table = display.Table(("<a>",), [("1 & 2",), ("3",)], marked=0, title='"t"', notes=("<n>",))
    found = Checker(table._repr_html_())
    assert [text for text in found.texts if text.strip()] == ['"t"', "<a>", "1 & 2", "3", "<n>"]
    styles = [attrs["style"] for tag, attrs in found.tags if tag == "tr"]
    assert ["bold" in style for style in styles] == [False, True, False]


def test_each_fact_has_a_line():
    assert str(display.facts("Title", {"a": 1, "long": "b"})) == "Title\na     1\nlong  b"


@each(
    ("lines", "first", "points"),
    [
        ({"loss": [3.0, 2.0, 1.0]}, 1, 3),
        ({"loss": [3.0]}, 7, 1),
        ({"loss": [2.0, 2.0], "other": [0.0, math.nan]}, 0, 3),
        ({"loss": [math.nan, 1.0, math.inf, 2.0]}, 1, 2),
        ({"zero": [0.0, 0.0]}, 1, 2),
        ({"large": [1e300, -1e300]}, 1, 2),
        ({str(i): [1.0 * i] for i in range(6)}, 1, 6),
    ],
)
def test_line_chart_draws_the_finite_values_inside_the_picture(lines, first, points):
    positions = range(first, first + len(next(iter(lines.values()))))
    found = Checker(display.line_chart("a & b", lines, positions, marked=first))
    circles = [attrs for tag, attrs in found.tags if tag == "circle"]
    assert len(circles) == points
    assert all(0 < float(at["cx"]) < 360 and 0 < float(at["cy"]) < 190 for at in circles)
    assert found.texts[0] == "a & b"
    assert str(first) in found.texts


def test_line_chart_labels_and_spaces_its_positions():
    found = Checker(display.line_chart("loss", {"a": [1.0, 2.0, 3.0]}, [5, 6, 9]))
    assert {"5", "9"} <= set(found.texts)
    start, middle, end = (float(at["cx"]) for tag, at in found.tags if tag == "circle")
    assert (middle - start) / (end - start) == pytest.approx(1 / 4, abs=0.01)


def test_escaped_text_is_safe_in_elements_and_quoted_attributes():
    assert display.escape('<a b="1 & 2">') == "&lt;a b=&quot;1 &amp; 2&quot;&gt;"


def test_line_chart_orders_points_and_interrupts_lines_at_gaps():
    found = Checker(display.line_chart("loss", {"a": [2.0, 1.0, math.nan, 3.0]}, range(1, 5)))
    path = [attrs["d"] for tag, attrs in found.tags if tag == "path"][-1]
    assert path.count("M") == 2
    assert path.count("L") == 1
    heights = [float(attrs["cy"]) for tag, attrs in found.tags if tag == "circle"]
    assert heights[2] < heights[0] < heights[1]


def test_line_chart_without_values_says_so():
    assert display.line_chart("loss", {"a": [math.nan]}, [1]) == "<div>loss: no finite values</div>"
    assert display.line_chart("loss", {}, []) == "<div>loss: no finite values</div>"


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1 batch"), (0, "0 batches"), (1200, "1,200 batches")]
)
def test_counts(number, text):
    assert display.number_of(number, "batch", "batches") == text

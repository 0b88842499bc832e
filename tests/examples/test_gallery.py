"""Tests of examples/gallery.py: it draws every picture, and those of the README are current."""

import html
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from urllib.parse import urlparse

import pytest

import gallery
from tests.examples.tools import ROOT, printed_by
from tests.tools import each


class Links(HTMLParser):
    """Collect the addresses of images, frames and links."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found |= {value for name, value in attrs if name in ("src", "href")}


@pytest.mark.slow
def test_gallery_draws_every_picture_on_one_page(tmp_path):
    printed = printed_by("gallery", tmp_path)
    page = (tmp_path / "out" / "index.html").read_text()
    links = Links()
    links.feed(page)
    count = sum(map(len, gallery.SECTIONS.values()))
    assert f"{count} pictures" in printed
    files = {link for link in links.found if not link.startswith("#")}
    assert len(files) == page.count("<section") == count
    for link in files:
        assert not urlparse(link).scheme
        assert (tmp_path / "out" / link).stat().st_size < 2_000_000, link


def words(text):
    """Return the words of a label in a sorted list; renderers break lines at different places."""
    return sorted(html.unescape(text).split())


def words_of_source(source):
    """Return all words of the labels in a DOT source."""
    labels = re.findall(r'\blabel=(?:<(.*?)>(?=[ \]]\w*|\n)|"(.*?)")', source, re.DOTALL)
    return words(" ".join(re.sub("<[^>]*>", " ", a or b) for a, b in labels))


def words_of_svg(path):
    """Return all words of the texts in an SVG."""
    texts = ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return words(" ".join("".join(text.itertext()) for text in texts))


@each("name", list(gallery.README))
def test_pictures_of_the_readme_are_current_and_small(name):
    """Their words do not depend on the renderer, unlike the layout."""
    path = gallery.IMAGES / name
    drawing = gallery.README[name]()
    assert words_of_svg(path) == words_of_source(drawing.source), (
        "draw it again: python examples/gallery.py --readme"
    )
    assert path.stat().st_size < 200_000
    assert f"examples/images/{name}" in (ROOT / "README.md").read_text()

"""The Draw tab in Chromium: strokes of the mouse and of fingers, and what the page says."""

import pytest

pytestmark = pytest.mark.browser


def test_the_tab_opens_first(playground):
    page = playground.open()
    assert page.get_by_role("tab", name="Draw").get_attribute("aria-selected") == "true"

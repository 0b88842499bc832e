"""The page around the tabs: keyboard, history, contrast, widths."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TABS = ("draw", "train", "convolution", "backprop")

# Texts whose contrast with their background is below WCAG AA: 4.5, or 3 for large text.
FAINT = """() => {
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    const most = text.startsWith("color(") ? 255 : 1;  // color(srgb 1 0 0) is rgb(255, 0, 0)
    return { rgb: parts.slice(0, 3).map((part) => most * part), alpha: parts[3] ?? 1 };
  };
  const mix = (over, under) =>
    over.rgb.map((value, i) => over.alpha * value + (1 - over.alpha) * under[i]);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => {
      const part = v / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.alpha === 1 ? own.rgb : mix(own, background(element.parentElement));
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.parentElement;
    const isHidden = !node.data.trim() || !element.checkVisibility({ visibilityProperty: true });
    const isExempt = element.closest("svg, script, style, noscript, .unseen, .skip, :disabled");
    if (isHidden || isExempt) continue;
    const style = getComputedStyle(element);
    const under = background(element);
    const [a, b] = [light(mix(parse(style.color), under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(2)}: ${node.data.trim().slice(0, 40)} (${element.className})`);
    }
  }
  return found;
}"""

# Visible controls without an accessible name.
NAMELESS = """() => [...document.querySelectorAll(
  "button, input, select, textarea, canvas, iframe")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => {
    const label = one.labels?.length ? one.labels[0].textContent : "";
    const ids = (one.getAttribute("aria-labelledby") ?? "").split(" ");
    const texts = ids.map((id) => document.getElementById(id)?.textContent ?? "");
    const text = one.tagName === "BUTTON" ? one.textContent : "";
    const own = one.getAttribute("aria-label") ?? one.title;
    const isHidden = one.closest("[aria-hidden=true]");
    return !isHidden && !(label + own + text + texts.join("")).trim();
  })
  .map((one) => one.outerHTML.slice(0, 120))"""


def opened(playground, tab, **options):
    page = playground.open(tab, **options)
    page.wait_for_selector(f"#{tab}:not([hidden])")
    page.wait_for_load_state("networkidle" if tab != "train" else "load")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tab", TABS)
def test_texts_can_be_read_and_controls_have_names(playground, tab, scheme):
    page = opened(playground, tab, color_scheme=scheme)
    assert page.evaluate(FAINT) == []
    assert page.evaluate(NAMELESS) == []


@pytest.mark.parametrize("width", [360, 700, 1024, 1440])
@pytest.mark.parametrize("tab", TABS)
def test_no_tab_scrolls_sideways(playground, tab, width):
    page = opened(playground, tab, viewport={"width": width, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_controls_are_large_enough_for_fingers(playground):
    page = opened(
        playground, "draw", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    small = page.evaluate(
        """() => [...document.querySelectorAll("#draw :is(button, select, input)")]
          .filter((one) => one.checkVisibility())
          .filter((one) => one.offsetHeight < (one.type === "range" ? 40 : 44))
          .map((one) => one.id || one.textContent)"""
    )
    assert small == []


def test_tabs_by_keyboard(playground):
    page = opened(playground, "draw")
    page.focus("#tab-draw")
    for name in ("train", "convolution", "backprop", "draw"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.is_visible(f"#{name}")
        assert page.locator("[role=tabpanel]:visible").count() == 1
    page.keyboard.press("End")
    assert page.is_visible("#backprop")
    page.keyboard.press("Home")
    assert page.is_visible("#draw")


@pytest.mark.parametrize("tab", TABS)
def test_every_control_is_reached_by_the_tab_key(playground, tab):
    page = opened(playground, tab)
    wanted = page.evaluate(
        """(tab) => [...document.querySelectorAll(
            `#${tab} :is(button, input, select, textarea, summary, a[href]):enabled,
             #${tab} :is(summary, a[href])`)]
          .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.tabIndex >= 0)
          .filter((one) => one.type !== "radio" || one.checked)
          .map((one, place) => (one.dataset.place = String(place)))""",
        tab,
    )
    page.focus(f"#tab-{tab}")
    seen = set()
    for _ in range(len(wanted) + 20):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.dataset.place ?? ''"))
    assert set(wanted) <= seen


def test_the_address_remembers_the_tab(playground):
    page = opened(playground, "draw")
    page.click("#tab-backprop")
    page.click("#tab-convolution")
    assert page.url.endswith("#convolution")
    page.go_back()
    page.wait_for_selector("#backprop:not([hidden])")
    page.reload()
    page.wait_for_selector("#backprop:not([hidden])")
    assert "Backprop" in page.title()

"""The colors of graph pictures, in light and dark, and the widths of their texts."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import east_asian_width

import matplotlib
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True)
class Style:
    """Fill and border of a box, each in light and dark."""

    fill: str
    border: str
    dark_fill: str
    dark_border: str


STYLES = {
    "op": Style("#ffffff", "#34495e", "#262b31", "#9fb0c0"),
    "parameter": Style("#fff3cd", "#b8860b", "#4a3b0a", "#e0b93a"),
    "buffer": Style("#fff3cd", "#b8860b", "#4a3b0a", "#e0b93a"),
    "input": Style("#d6eaf8", "#2874a6", "#12364d", "#6db7e8"),
    "output": Style("#d5f5e3", "#1e8449", "#14402a", "#58c98a"),
    "constant": Style("#f2f3f4", "#7f8c8d", "#2d3136", "#9aa5ad"),
    "error": Style("#fadbd8", "#c0392b", "#571d17", "#ff8a7a"),
    "backward": Style("#fdebd0", "#ca6f1e", "#4a2f10", "#f0a35a"),
    "second": Style("#e8daef", "#7d3c98", "#3a2547", "#c39bd8"),
}
FRAMES = (
    Style("#f4f6f7", "#aeb6bf", "#1d2126", "#4a545e"),
    Style("#e9eef1", "#aeb6bf", "#23282e", "#4a545e"),
    Style("#dde5ea", "#aeb6bf", "#2a3037", "#4a545e"),
)
"""By nesting level, repeated from the third on."""
SWEEP_FRAMES = {
    1: Style("#fef6ea", "#ca6f1e", "#2b1d0c", "#f0a35a"),
    2: Style("#f5eff8", "#7d3c98", "#251830", "#c39bd8"),
}
"""Frames of backward sweeps: lighter than their boxes."""
SCALE = (
    Style("#f7fbff", "#34495e", "#1c2733", "#9fb0c0"),
    Style("#dbe9f6", "#34495e", "#1b3550", "#9fb0c0"),
    Style("#bad6eb", "#34495e", "#1d466c", "#9fb0c0"),
    Style("#8fc1de", "#34495e", "#205888", "#9fb0c0"),
    Style("#5fa6d1", "#34495e", "#256a9f", "#9fb0c0"),
)
"""Colors for quantities, from small to large."""
PAGE = ("#fefefe", "#16191d")
TEXT = ("#1b2631", "#e8eaed")
ARROW = ("#566573", "#9aa7b2")
MUTED = ("#4d5a66", "#b4bec7")
"""Secondary text."""


def style_of_kind(kind: str, sweep: int = 0) -> Style:
    """Return the colors of a box: those of its kind, or of the backward sweep that it belongs to.

    >>> style_of_kind("constant").fill
    '#f2f3f4'
    >>> style_of_kind("op", sweep=1) is STYLES["backward"]
    True
    """
    if sweep and kind in ("op", "module", "folded"):
        return STYLES["backward" if sweep == 1 else "second"]
    return STYLES.get(kind, STYLES["op"])


def dark_colors() -> dict[str, str]:
    """Return the dark counterpart of each light color."""
    styles = (*STYLES.values(), *FRAMES, *SWEEP_FRAMES.values(), *SCALE)
    fills = {style.fill: style.dark_fill for style in styles}
    borders = {style.border: style.dark_border for style in styles}
    return fills | borders | dict((PAGE, TEXT, ARROW, MUTED))


def css_variables() -> str:
    """Return the colors as CSS variables, such as --op and --op-line, in light and dark.

    >>> css_variables().split(";")[0]
    ':root { --page: #fefefe'
    """
    frames = {f"frame{level}": style for level, style in enumerate(FRAMES)}
    sweeps = {f"sweep{sweep}": style for sweep, style in SWEEP_FRAMES.items()}
    pairs = {"page": PAGE, "text": TEXT, "muted": MUTED, "arrow": ARROW}
    for name, style in (STYLES | frames | sweeps).items():
        pairs[name] = style.fill, style.dark_fill
        pairs[f"{name}-line"] = style.border, style.dark_border
    light, dark = (
        " ".join(f"--{name}: {colors[place]};" for name, colors in pairs.items())
        for place in (0, 1)
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a text in points, in DejaVu Sans.

    It is the widest of the usual sans-serif fonts: what fits in DejaVu fits in Helvetica and Arial.

    >>> text_width("mmm", 12) > text_width("iii", 12)
    True
    """
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    # Wide characters, such as Chinese ones, are missing in the font, and as wide as a dash.
    text = "".join("\u2014" if east_asian_width(c) in "WF" else c for c in text)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        width, _, _ = text_to_path.get_text_width_height_descent(
            text, FontProperties(fname=font, size=size), ismath=False
        )
    return float(width)

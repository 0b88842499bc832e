"""Post-processing of a rendered SVG: tooltips, dark colors, and text centered in any font."""

import re
import xml.etree.ElementTree as ET

from tinygrad_np.viz import text, theme
from tinygrad_np.viz.folding import Box, Picture

_SVG = "http://www.w3.org/2000/svg"
_LONGEST = 12
"""Most ops that the tooltip of a folded box lists."""


def finish(rendered: bytes, picture: Picture) -> str:
    """Return a rendered SVG with tooltips on its boxes and a dark mode.

    Tooltips replace Graphviz's titles, such as `box3`, which become ids.

    Args:
        rendered: SVG of the picture by Graphviz, in UTF-8.
        picture: the picture.
    """
    ET.register_namespace("", _SVG)
    root = ET.fromstring(rendered.decode())
    boxes = {box.id: box for box in picture.boxes()}
    arrows = {f"{a.source.id}->{a.target.id}": a for a in picture.arrows}
    for group in list(root.iter(f"{{{_SVG}}}g")):
        title = group.find(f"{{{_SVG}}}title")
        if title is None:
            continue
        name = title.text or ""
        if group.get("class") != "edge" and re.fullmatch(r"\w+", name):
            group.set("id", name)
        if name in boxes:
            title.text = tooltip(boxes[name])
            _center_texts(group)
        elif name in arrows:
            arrow = arrows[name]
            title.text = f"{text.sizes(arrow.value)}, from {text.heading(arrow.source)} to "
            title.text += text.heading(arrow.target)
        else:
            group.remove(title)
        if group.get("class") == "graph" and picture.title:
            label = ET.Element(f"{{{_SVG}}}title")
            label.text = picture.title
            group.insert(0, label)
    style = ET.Element(f"{{{_SVG}}}style")
    style.text = _stylesheet()
    root.insert(0, style)
    return ET.tostring(root, encoding="unicode") + "\n"


def tooltip(box: Box) -> str:
    """Return what a tooltip says about a box: formulas, derivatives, options, source and sizes."""
    if len(box.nodes) == 1 or box.kind not in ("module", "folded"):
        return "\n".join(_about(box, index) for index in range(len(box.nodes)))
    lines = [text.heading(box)]
    ops = [f"  {node.op} → {text.sizes(node)}" for node in box.nodes]
    lines += ops[:_LONGEST]
    if len(ops) > _LONGEST:
        lines.append(f"  … {len(ops) - _LONGEST} more ops")
    saved = sum(sum(node.saved.values()) for node in box.nodes)
    flops = sum(node.flops or 0 for node in box.nodes)
    lines += [f"saves {saved:,} bytes for the backward pass"] if saved else []
    lines += [f"{flops:,} FLOPs"] if flops else []
    lines += [next((node.line for node in box.nodes if node.line), "")]
    return "\n".join(line for line in lines if line)


def _about(box: Box, index: int) -> str:
    node = box.nodes[index]
    formula = f"{node.op}: {node.formula}" if node.formula else node.op
    lines = [node.name, formula, node.options]
    lines += [f"d/d{name}: {source}" for name, source in node.vjps.items()]
    lines += [f"result: {text.sizes(node)}, {node.nbytes:,} bytes"] if node.nbytes else []
    if node.saved:
        parts = ", ".join(f"{name} {size:,} bytes" for name, size in node.saved.items())
        lines.append(f"saves for the backward pass: {parts}")
    lines += [f"{node.flops:,} FLOPs"] if node.flops else []
    if stats := node.gradient:
        lines.append(
            f"gradient: norm {stats.norm:.4g}, mean {stats.mean:.4g}, from {stats.min:.4g} to "
            f"{stats.max:.4g}, {stats.zeros} of {stats.size} are 0"
        )
    lines += [node.line, node.error]
    return "\n".join(line for line in lines if line)


def _center_texts(group: ET.Element) -> None:
    """Center the texts of a box in the box; Graphviz places their starts, for one font only."""
    outline = next(
        (e for e in group.iter() if e.tag in (f"{{{_SVG}}}path", f"{{{_SVG}}}polygon")), None
    )
    if outline is None:
        return
    points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", outline.get("d") or outline.get("points") or "")
    xs = [float(x) for x, _ in points]
    for element in group.iter(f"{{{_SVG}}}text"):
        element.set("text-anchor", "middle")
        element.set("x", f"{(min(xs) + max(xs)) / 2:.2f}")


def _stylesheet() -> str:
    """Return CSS that replaces each light color by its dark one if the reader prefers dark."""
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}\n'
        for light, dark in theme.dark_colors().items()
    )
    return f"\ntext{{user-select:text}}\n@media (prefers-color-scheme: dark){{\n{rules}}}\n"

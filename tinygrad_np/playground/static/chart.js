/** Line charts on SVG with axes, direct labels and a read-out for pointer and keyboard. */

import { element, numberText } from "./common.js";

const HEIGHT = 216;
const PAD = { left: 52, right: 74, top: 16, bottom: 24 };

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** At most about `count` round numbers in a range, such as 0, 25, 50. */
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let place = Math.ceil(low / step); place * step <= high * (1 + 1e-9); place++) {
    found.push(Number((place * step).toPrecision(12)));
  }
  return found;
}

/**
 * Add a chart to a container and return a function that shows other data.
 * `format` makes the text of a value; `range` fixes the vertical axis, otherwise it starts at 0.
 * The function takes lines [{name, className, points: [[x, y], ...]}] and the end of the x axis,
 * and whether no more data will come.
 */
export function lineChart(container, { title, xTitle, format = numberText, range }) {
  const heading = element("h3", { textContent: title });
  const reading = element("p", { className: "note reading" });
  const spoken = element("span", { className: "unseen", role: "status" });
  const picture = svg("svg", { class: "chart", role: "img", tabindex: "0", height: HEIGHT });
  container.append(element("div", { className: "row spread" }, heading, reading), picture, spoken);
  let lines = [];
  let last = 1;
  let empty = "no data yet";
  let cursor = null;
  let width = 0;

  const places = () => [...new Set(lines.flatMap((line) => line.points.map(([x]) => x)))]
    .sort((a, b) => a - b);
  const scaleX = (x) => PAD.left + (x / last) * (width - PAD.left - PAD.right);

  /** The point of a line that is nearest to x, if the line is drawn there. */
  function nearest(line, x) {
    let best = null;
    for (const point of line.points) {
      if (point[1] !== null && (!best || Math.abs(point[0] - x) < Math.abs(best[0] - x))) {
        best = point;
      }
    }
    return best;
  }

  function readingAt(x) {
    const parts = lines.map((line) => [line.name, nearest(line, x)]).filter(([, point]) => point);
    if (!parts.length) return "";
    const texts = parts.map(([name, point]) => `${name} ${format(point[1])}`);
    return `${xTitle} ${Math.round(x).toLocaleString("en")}: ${texts.join(", ")}`;
  }

  function draw() {
    width = Math.max(240, container.clientWidth || 480);
    picture.setAttribute("width", width);
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const values = lines.flatMap((line) => line.points.map(([, y]) => y))
      .filter((y) => y !== null);
    const [low, high] = range ?? [0, Math.max(...values, 1e-9) * 1.05];
    const bottom = HEIGHT - PAD.bottom;
    const right = width - PAD.right;
    const scaleY = (y) => bottom - ((y - low) / (high - low)) * (bottom - PAD.top);
    const parts = [];
    for (const y of values.length || range ? ticks(low, high, 4) : []) {
      parts.push(
        svg("line", { class: "grid", x1: PAD.left, x2: right, y1: scaleY(y), y2: scaleY(y) }),
        svg("text", { x: PAD.left - 7, y: scaleY(y) + 4, "text-anchor": "end" },
          format(y, 3).replace(/\.?0*e\+?/, "e")), // 5e20 instead of 5.00e+20
      );
    }
    for (const x of ticks(0, last, Math.max(2, Math.floor((right - PAD.left) / 70)))) {
      if (!Number.isInteger(x)) continue;
      parts.push(svg("text", { x: scaleX(x), y: bottom + 16, "text-anchor": "middle" },
        x.toLocaleString("en")));
    }
    parts.push(
      svg("line", { class: "axis", x1: PAD.left, x2: right, y1: bottom, y2: bottom }),
      svg("text", { class: "axis-title", x: width - 2, y: bottom + 16, "text-anchor": "end" },
        xTitle),
    );
    if (!values.length) {
      parts.push(svg("text", { x: (PAD.left + right) / 2, y: (PAD.top + bottom) / 2 - 6,
        "text-anchor": "middle" }, empty));
    }
    const labels = [];
    for (const line of lines) {
      const drawn = line.points.filter(([, y]) => y !== null);
      if (!drawn.length) continue;
      const path = drawn.map(([x, y]) => `${scaleX(x).toFixed(1)} ${scaleY(y).toFixed(1)}`);
      parts.push(svg("path", { class: `line ${line.className}`, d: `M${path.join("L")}` }));
      const [x, y] = drawn.at(-1);
      if (drawn.length === 1) {
        parts.push(svg("circle", { class: `dot ${line.className}`, cx: scaleX(x), cy: scaleY(y),
          r: 2.5 }));
      }
      labels.push({ x: scaleX(x) + 6, y: scaleY(y) + 4, line });
    }
    labels.sort((a, b) => a.y - b.y);
    // Labels at least a line apart, none below the axis.
    labels.forEach((label, i) => {
      if (i) label.y = Math.max(label.y, labels[i - 1].y + 14);
    });
    for (let i = labels.length - 1; i >= 0; i--) {
      labels[i].y = Math.min(labels[i].y, (labels[i + 1]?.y ?? bottom + 12) - 14);
      const { x, y, line } = labels[i];
      parts.push(svg("text", { class: `name ${line.className}`, x, y }, line.name));
    }
    if (cursor !== null && values.length) {
      parts.push(svg("line", { class: "cursor", x1: scaleX(cursor), x2: scaleX(cursor),
        y1: PAD.top, y2: bottom }));
      for (const line of lines) {
        const point = nearest(line, cursor);
        if (!point) continue;
        parts.push(svg("circle", { class: `dot ${line.className}`, cx: scaleX(point[0]),
          cy: scaleY(point[1]), r: 3.5 }));
      }
    }
    picture.replaceChildren(...parts);
    const text = readingAt(cursor ?? last);
    reading.textContent = cursor === null ? "" : text;
    picture.setAttribute("aria-label", `${title}. ${text || empty}. Arrow keys read points.`);
  }

  function point(x) {
    cursor = x;
    draw();
  }

  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left - PAD.left) / (width - PAD.left - PAD.right)) * last;
    const all = places();
    if (!all.length) return;
    point(all.reduce((a, b) => (Math.abs(b - x) < Math.abs(a - x) ? b : a)));
  });
  picture.addEventListener("pointerleave", () => point(null));
  picture.addEventListener("blur", () => point(null));
  picture.addEventListener("keydown", (event) => {
    const all = places();
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20 }[event.key];
    const target = { Home: 0, End: all.length - 1 }[event.key] ??
      (step && (cursor === null ? all.length - 1 : all.indexOf(cursor) + step));
    if (target === undefined || !all.length) return;
    event.preventDefault();
    point(all[Math.max(0, Math.min(all.length - 1, target))]);
    spoken.textContent = reading.textContent;
  });
  new ResizeObserver(() => {
    if (container.clientWidth && container.clientWidth !== width) draw();
  }).observe(container);

  return (newLines, newLast, isOver = false) => {
    lines = newLines;
    empty = isOver ? "no data" : "no data yet";
    last = Math.max(1, newLast);
    if (cursor !== null && !places().includes(cursor)) cursor = null;
    draw();
  };
}

"use strict";

// The page has four parts: the graph as a tree of groups (module calls) and nodes, the layout of
// what is unfolded, the drawing, and the steps with the panel that explains them.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);

/* ---------- The graph ---------- */

const nodes = new Map(data.nodes.map((node, order) => [node.id, { ...node, order }]));
const edges = data.edges
  .map((edge) => ({ ...edge, source: nodes.get(edge.source), target: nodes.get(edge.target) }))
  .filter((edge) => edge.source && edge.target);
const outermost = { id: "", group: true, parent: null, items: [], level: -1, folded: false };
const groups = new Map(
  data.calls.map((call) => [call.id, { ...call, group: true, items: [], folded: false }]),
);
const roots = new Set(data.roots);

for (const node of nodes.values()) Object.assign(node, { ins: [], outs: [] });
for (const edge of edges) {
  edge.target.ins.push(edge);
  edge.source.outs.push(edge);
}
for (const node of nodes.values()) node.ins.sort((a, b) => a.position - b.position);
for (const group of groups.values()) group.parent = groups.get(group.outer) ?? outermost;
for (const group of groups.values()) group.level = ancestors(group).length - 2;

/** The item itself, then the groups around it, innermost first. */
function ancestors(item) {
  const found = [];
  for (; item; item = item.parent) found.push(item);
  return found;
}

/** The innermost group that contains all items. */
function common(items) {
  let shared = ancestors(items[0]);
  for (const item of items.slice(1)) {
    const others = new Set(ancestors(item));
    shared = shared.filter((group) => others.has(group));
  }
  return shared.find((item) => item.group) ?? outermost;
}

for (const node of nodes.values()) {
  node.parent = groups.get(node.call) ?? outermost;
}
// Parameters and constants belong where they are used; a shared one belongs around all its uses.
// Only an array that the first op reads is the data, though it may not be named as an input.
const firstOp = [...nodes.values()].find((node) => node.ins.length);
for (const node of nodes.values()) {
  const isData =
    node.kind === "constant" && node.shape.length && node.outs[0]?.target === firstOp;
  if (isData) {
    node.parent = outermost;
  } else if (["parameter", "buffer", "constant"].includes(node.kind) && node.outs.length) {
    node.parent = common(node.outs.map((edge) => edge.target.parent));
  }
  node.parent.items.push(node);
}
// A group comes where its first op does; a leaf comes right before its first use.
const place = (node) =>
  node.ins.length || !node.outs.length
    ? node.order
    : Math.min(...node.outs.map((edge) => edge.target.order)) - 0.5;
for (const node of nodes.values()) {
  for (const group of ancestors(node.parent)) {
    group.order = Math.min(group.order ?? Infinity, node.ins.length ? node.order : Infinity);
  }
}
for (const group of groups.values()) if (group.order !== undefined) group.parent.items.push(group);
for (const group of [outermost, ...groups.values()]) {
  group.items.sort((a, b) => (a.group ? a.order : place(a)) - (b.group ? b.order : place(b)));
}

function contents(group) {
  return group.items.flatMap((item) => (item.group ? contents(item) : [item]));
}

/** The node whose result a folded group shows: the last one that is used outside. */
for (const group of groups.values()) {
  const inside = contents(group).filter((node) => node.ins.length);
  const within = new Set(inside);
  const leaving = inside.filter(
    (node) => roots.has(node.id) || node.outs.some((edge) => !within.has(edge.target)),
  );
  group.result = leaving.at(-1) ?? inside.at(-1);
  group.failed = inside.find((node) => node.error);
}

/** The box in which a node is visible: itself, or the outermost folded group around it. */
function visible(node) {
  return ancestors(node).filter((item) => item.group && item.folded).at(-1) ?? node;
}

const MANY = 120;

function foldAll() {
  for (const group of groups.values()) group.folded = true;
}
function unfoldAll() {
  for (const group of groups.values()) group.folded = false;
}
/** Fold the innermost modules, repeated blocks, and outer ones while there are too many boxes. */
function foldLayers() {
  const repeats = new Map();
  for (const group of groups.values()) {
    group.folded = groups.size > 1 && !group.items.some((item) => item.group);
    // Blocks of one class with equal ops are the same block, repeated.
    const ops = contents(group).map((node) => node.op);
    const key = [group.parent.id, group.kind, ...ops].join(" ");
    repeats.set(key, [...(repeats.get(key) ?? []), group]);
  }
  for (const equal of repeats.values()) {
    if (equal.length > 2) for (const group of equal) group.folded = true;
  }
  const count = () => new Set([...nodes.values()].map(visible)).size;
  const deepest = Math.max(0, ...[...groups.values()].map((group) => group.level));
  for (let level = deepest; level > 0; level--) {
    if (count() <= MANY) return;
    for (const group of groups.values()) if (group.level === level) group.folded = true;
  }
}

/* ---------- Text ---------- */

const shapeText = (shape) => (shape.length ? shape.join(" × ") : "scalar");
const countText = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const array = (index) => (index === null || index === undefined ? null : data.arrays[index]);

function numberText(value, digits = 4) {
  if (typeof value === "string") return value.replace("-", "−"); // "nan", "inf", "-inf"
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value === null || value === undefined) return "none";
  const size = Math.abs(value);
  const isUsual = size < 1e6 && (size >= 1e-4 || !size);
  const text = Number.isInteger(value) && isUsual ? String(value)
    : isUsual ? String(Number(value.toPrecision(digits))) : value.toExponential(digits - 1);
  return text.replaceAll("-", "−");
}

function bytesText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024
    ? `${(bytes / 1024).toFixed(1)} KiB`
    : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Numbers in nested brackets with one line per row, as NumPy prints them. */
function arrayText(entry) {
  if (!entry.shape.length) return numberText(entry.values[0]);
  const digits = entry.shape.at(-1) > 5 ? 3 : 4;
  const texts = entry.values.map((value) => numberText(value, digits));
  const width = Math.max(0, ...texts.map((text) => text.length));
  const write = (start, axis) => {
    const length = entry.shape[axis];
    const stride = entry.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const gap = ",\n" + " ".repeat(axis + 1);
    if (axis + 1 < entry.shape.length) {
      const parts = Array.from({ length }, (_, i) => write(start + i * stride, axis + 1));
      return `[${parts.join(gap)}]`;
    }
    const inLine = Math.max(1, Math.floor(42 / (width + 2)));
    const rows = [];
    for (let i = start; i < start + length; i += inLine) {
      const row = texts.slice(i, Math.min(i + inLine, start + length));
      rows.push(row.map((text) => text.padStart(width)).join(", "));
    }
    return `[${rows.join(gap)}]`;
  };
  return write(0, 0);
}

/** The number that a constant is, if it is one. */
const constantText = (node) =>
  node.kind === "constant" && !node.name && !node.shape.length && node.value !== null
    ? numberText(array(node.value).values[0])
    : "";

/** The label of a node: its name, or its op, with a number if that is ambiguous. */
const counts = new Map();
for (const node of nodes.values()) {
  // The array that an op reads is called by its use, such as mask, if it has no name.
  const use = node.outs[0]?.input ?? "";
  const kind = node.error ? "failed call"
    : node.kind === "constant" && node.dtype ? (use.length > 1 ? use : "data") : node.kind;
  node.title = node.name || constantText(node) || node.op || kind;
  if (!node.name && !constantText(node)) {
    node.number = (counts.get(node.title) ?? 0) + 1;
    counts.set(node.title, node.number);
  }
}
function label(node) {
  return node.number && counts.get(node.title) > 1 ? `${node.title} #${node.number}` : node.title;
}
const opTitle = (node) => (node.op && node.name ? `${node.name} = ${node.op}` : label(node));
function groupLabel(group) {
  const last = group.path.split(".").at(-1);
  return last && last !== group.kind ? `${last}: ${group.kind}` : group.kind;
}
const where = (node) =>
  ancestors(node.parent)
    .filter((group) => group.kind && group.path)
    .map((group) => group.path)
    .at(0) ?? "";

/* ---------- Heat maps ---------- */

let palette;
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  };
  const names = ["low", "zero", "high", "nonfinite"];
  palette = Object.fromEntries(names.map((name) => [name, rgb(`--${name}`)]));
  for (const entry of data.arrays) delete entry.images;
}

/** The maps of an array, as {width, height, levels}; small arrays get theirs from the numbers. */
function heatMaps(entry) {
  if (entry.maps) {
    return entry.maps.map((text) => ({
      width: entry.width,
      height: entry.height,
      levels: Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)),
    }));
  }
  const values = entry.values.map(Number);
  const scale = Math.max(...values.filter(Number.isFinite).map(Math.abs), 0) || 1;
  const levels = values.map((v) => (Number.isFinite(v) ? 128 + Math.round((127 * v) / scale) : 0));
  const width = entry.shape.at(-1) ?? 1;
  const height = entry.shape.length > 1 ? entry.shape.at(-2) : 1;
  const size = width * height;
  return Array.from({ length: size ? levels.length / size : 0 }, (_, i) => ({
    width,
    height,
    levels: levels.slice(i * size, (i + 1) * size),
  }));
}

/** Pictures of the maps as {width, height, url}, drawn once. */
function images(entry) {
  entry.images ??= heatMaps(entry).map(({ width, height, levels }) => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    levels.forEach((level, i) => {
      const part = Math.abs(level - 128) / 127;
      const end = level < 128 ? palette.low : palette.high;
      const color = palette.zero.map((zero, j) => zero + (end[j] - zero) * part);
      pixels.data.set([...(level ? color : palette.nonfinite), 255], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    return { width, height, url: canvas.toDataURL() };
  });
  return entry.images;
}

/** The size at which a map is shown, within a limit. */
function shownSize({ width, height }, maxWidth, maxHeight) {
  const scale = Math.min(maxWidth / width, maxHeight / height);
  return { width: Math.max(width * scale, 4), height: Math.max(height * scale, 6) };
}

/* ---------- Sizes of boxes ---------- */

const measure = document.createElement("canvas").getContext("2d");
function textWidth(text, font = "12px Helvetica, Arial, sans-serif") {
  measure.font = font;
  // A tenth more than measured, since fonts differ.
  return measure.measureText(text).width * 1.1;
}
const BOLD = "bold 13px Helvetica, Arial, sans-serif";
const SMALL = "11px Helvetica, Arial, sans-serif";
const LINE = 16;
const MAP = { width: 64, height: 30, count: 3, gap: 4 };
const clip = (text, length = 44) =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

/** How a value is shown in a box: as up to four numbers, or as heat maps. */
function content(entry) {
  if (!entry) return null;
  const size = entry.shape.reduce((a, b) => a * b, 1);
  if (size === 0) return { height: LINE, width: 50, text: "empty" };
  if (size <= 4 && entry.values) {
    const text = entry.values.map((value) => numberText(value)).join(", ");
    return { height: LINE, width: textWidth(text), text };
  }
  const maps = images(entry).slice(0, MAP.count);
  const sizes = maps.map((map) => shownSize(map, MAP.width, MAP.height));
  return {
    height: Math.max(LINE, Math.max(...sizes.map((s) => s.height)) + 4),
    width: sizes.reduce((sum, s) => sum + s.width + MAP.gap, 0),
    maps: maps.map((map, i) => ({ ...map, ...sizes[i], url: map.url })),
  };
}

// What is the same in all boxes is left out.
const hasOneDtype = new Set(data.nodes.map((node) => node.dtype).filter(Boolean)).size <= 1;
const hasOnlyScalars = data.nodes.every((node) => !node.shape.length);

function boxLines(item) {
  if (item.group) {
    const lines = [clip(item.description)];
    if (item.parameters) lines.push(countText(item.parameters, "parameter"));
    if (item.calls > 1) lines.push(`call ${item.call} of ${item.calls}`);
    if (item.failed) lines.push("failed here");
    else if (item.result) lines.push(shapeText(item.result.shape));
    return { title: groupLabel(item), lines: lines.filter(Boolean) };
  }
  const dtype = hasOneDtype || item.dtype === "float32" ? "" : item.dtype;
  const type = [hasOnlyScalars ? "" : shapeText(item.shape), dtype].filter(Boolean).join(" ");
  const lines = [item.options ? clip(item.options) : "", item.error ? "failed here" : type];
  // Inside its module, a parameter needs no path.
  const path = item.parent.path ? `${item.parent.path}.` : "";
  const name = path && item.name.startsWith(path) ? item.name.slice(path.length) : item.name;
  const title = item.op ? opTitle(item) : name || label(item);
  if (constantText(item)) return { title, lines: [] };
  return { title: clip(title), lines: lines.filter(Boolean) };
}

function measureBox(item) {
  const { title, lines } = boxLines(item);
  const node = item.group ? item.result : item;
  const value = item.kind === "constant" && constantText(item) ? null : content(array(node?.value));
  const grad = content(array(node?.grad));
  // Partial sums of a gradient may need more room than their total.
  const rows = [value, grad].filter(Boolean);
  const width = Math.max(
    textWidth(title, BOLD) + (item.group ? 22 : 0),
    ...lines.map((line) => textWidth(line, SMALL)),
    ...rows.map((row) => row.width + 42),
    value?.text || grad?.text ? 96 : 0,
    54,
  );
  item.size = {
    title,
    lines,
    value,
    grad,
    width: width + 20,
    height: 14 + LINE + lines.length * 14 + rows.reduce((sum, row) => sum + row.height, 0),
  };
}

/* ---------- Layout ---------- */

const GAP = { x: 22, y: 34, pad: 16, title: 26, line: 10 };

/** Collect, per group, the links between its items that the visible edges become. */
function collectLinks() {
  for (const group of [outermost, ...groups.values()]) group.links = new Map();
  const drawn = new Map();
  for (const edge of edges) {
    const from = visible(edge.source);
    const to = visible(edge.target);
    if (from !== to) drawn.set(`${from.id}>${to.id}`, [from, to]);
  }
  // Links carry the box they come from: `in:ID` and `out:ID` are the points of a frame at which
  // the result of that box enters and leaves it.
  const link = (group, from, to, origin, goal) => {
    const key = `${from}>${to}>${origin.id}`;
    const found = group.links.get(key) ?? { from, to, origin, goals: [] };
    found.goals.push(goal);
    group.links.set(key, found);
  };
  for (const [from, to] of drawn.values()) {
    const shared = common([from.parent, to.parent]);
    let start = from;
    for (; start.parent !== shared; start = start.parent) {
      link(start.parent, start.id, `out:${from.id}`, from, to);
    }
    let end = to;
    for (; end.parent !== shared; end = end.parent) {
      link(end.parent, `in:${from.id}`, end.id, from, to);
    }
    link(shared, start.id, end.id, from, to);
  }
}

/**
 * Lay a group out in rows, inner frames first.
 *
 * Sets `size` of the group, `x` and `y` of its items relative to it, `segments` for its lines and
 * `ports`, the horizontal positions at which lines enter and leave it.
 */
function layout(group) {
  const cells = new Map();
  for (const item of group.items) {
    if (item.group && !item.folded) layout(item);
    else measureBox(item);
    cells.set(item.id, { id: item.id, item, width: item.size.width, height: item.size.height });
  }
  const links = [...group.links.values()];
  const terminal = (id) => cells.set(id, { id, width: GAP.line, height: 0, terminal: true });
  for (const link of links) {
    if (link.from.startsWith("in:") && !cells.has(link.from)) terminal(link.from);
    if (link.to.startsWith("out:") && !cells.has(link.to)) terminal(link.to);
  }

  // Rows: after all inputs; what has no input comes right before its first use.
  const into = new Map([...cells.keys()].map((id) => [id, []]));
  for (const link of links) into.get(link.to).push(link);
  const first = links.some((link) => link.from.startsWith("in:")) ? 1 : 0;
  for (const cell of cells.values()) cell.row = cell.id.startsWith("in:") ? 0 : first;
  for (const item of group.items) {
    const cell = cells.get(item.id);
    for (const link of into.get(item.id)) {
      const before = cells.get(link.from);
      if (!before.terminal && rank(before.item) < rank(item)) {
        cell.row = Math.max(cell.row, before.row + 1);
      }
    }
  }
  let last = Math.max(0, ...[...cells.values()].map((cell) => cell.row));
  for (const cell of cells.values()) {
    if (!cell.terminal && !into.get(cell.id).length) {
      const uses = links.filter((link) => link.from === cell.id && !link.to.startsWith("out:"));
      if (uses.length) {
        cell.row = Math.max(first, Math.min(...uses.map((link) => cells.get(link.to).row)) - 1);
      }
    }
  }
  if ([...cells.keys()].some((id) => id.startsWith("out:"))) {
    last += 1;
    for (const cell of cells.values()) if (cell.id.startsWith("out:")) cell.row = last;
  }

  // A link over several rows passes through a cell in each; links with one origin share them.
  const segments = new Map();
  const connect = (from, to, link) => {
    const key = `${from}>${to}>${link.origin.id}`;
    const found = segments.get(key) ?? { from, to, origin: link.origin, goals: new Set() };
    for (const goal of link.goals) found.goals.add(goal);
    segments.set(key, found);
  };
  for (const link of links) {
    let from = link.from;
    const end = cells.get(link.to).row;
    for (let row = cells.get(link.from).row + 1; row < end; row++) {
      const id = `via:${link.from}:${link.origin.id}:${row}`;
      if (!cells.has(id)) cells.set(id, { id, row, width: GAP.line, height: 0, via: true });
      connect(from, id, link);
      from = id;
    }
    connect(from, link.to, link);
  }
  group.segments = [...segments.values()];
  const rows = Array.from({ length: last + 1 }, () => []);
  for (const cell of cells.values()) {
    Object.assign(cell, { above: [], below: [] });
    rows[cell.row].push(cell);
  }
  for (const segment of group.segments) {
    segment.start = cells.get(segment.from);
    segment.end = cells.get(segment.to);
    segment.startPort = segment.start.item?.ports?.get(`out:${segment.origin.id}`);
    segment.endPort = segment.end.item?.ports?.get(`in:${segment.origin.id}`);
    if (segment.start.item?.folded !== false) segment.startPort = undefined;
    if (segment.end.item?.folded !== false) segment.endPort = undefined;
    segment.startPort ??= segment.start.width / 2;
    segment.endPort ??= segment.end.width / 2;
    segment.start.below.push({ cell: segment.end, own: segment.startPort, port: segment.endPort });
    segment.end.above.push({ cell: segment.start, own: segment.endPort, port: segment.startPort });
  }

  // Order in the rows: repeated sorting by the mean position of the neighbors.
  const pack = (row) => {
    let x = 0;
    for (const cell of row) {
      cell.x = x;
      x += cell.width + GAP.x;
    }
    for (const cell of row) cell.x -= x / 2;
  };
  rows.forEach(pack);
  const mean = (cell, sides) => {
    const near = sides.flatMap((side) => cell[side]);
    if (!near.length) return cell.x;
    // A parameter or constant must not pull a chain of ops aside; it moves to its op instead.
    const weight = (other) => (other.item && !other.above.length ? 0.01 : other.via ? 0.5 : 1);
    const weights = near.map((n) => weight(n.cell));
    const sum = near.reduce((s, n, i) => s + weights[i] * (n.cell.x + n.port - n.own), 0);
    return sum / weights.reduce((a, b) => a + b);
  };
  for (let pass = 0; pass < 8; pass++) {
    const side = pass % 2 ? "below" : "above";
    for (const row of pass % 2 ? [...rows].reverse() : rows) {
      for (const cell of row) cell.wish = mean(cell, [side]) + cell.width / 2;
      row.sort((a, b) => a.wish - b.wish);
      pack(row);
    }
  }
  for (let pass = 0; pass < 12; pass++) {
    const sides = pass > 8 ? ["above", "below"] : [pass % 2 ? "below" : "above"];
    for (const row of pass % 2 ? [...rows].reverse() : rows) {
      spread(row, row.map((cell) => mean(cell, sides)));
    }
  }

  let y = group === outermost ? 0 : GAP.title + GAP.pad / 2;
  for (const row of rows) {
    const height = Math.max(0, ...row.map((cell) => cell.height));
    for (const cell of row) {
      cell.y = y + (height - cell.height) / 2;
      Object.assign(cell, { rowTop: y, rowBottom: y + height });
    }
    y += height + (row.every((cell) => cell.terminal) ? GAP.y / 2 : GAP.y);
  }
  const all = [...cells.values()];
  const left = Math.min(...all.map((cell) => cell.x), Infinity);
  const right = Math.max(...all.map((cell) => cell.x + cell.width), left);
  const titleWidth = group === outermost ? 0 : textWidth(frameTitle(group), BOLD) + 40;
  const width = Math.max(right - left + 2 * GAP.pad, titleWidth);
  const shift = (width - (right - left)) / 2 - left;
  group.ports = new Map();
  for (const cell of all) {
    cell.x += shift;
    if (cell.item) Object.assign(cell.item, { x: cell.x, y: cell.y });
    if (cell.terminal) group.ports.set(cell.id, cell.x + cell.width / 2);
  }
  const bottom = y - GAP.y + GAP.pad;
  for (const cell of all) {
    if (cell.id.startsWith("in:")) Object.assign(cell, { y: 0, rowTop: 0, rowBottom: GAP.title });
    if (cell.id.startsWith("out:")) Object.assign(cell, { y: bottom, rowTop: bottom });
  }
  group.size = { width, height: bottom };
}

const rank = (item) => (item.group ? item.order : place(item));
const frameTitle = (group) =>
  groupLabel(group) + (group.calls > 1 ? ` (call ${group.call} of ${group.calls})` : "");

/**
 * Move the cells of a row as close to the desired positions as their order and widths allow.
 *
 * Without the widths this is isotonic regression, solved by merging blocks that overlap.
 */
function spread(row, wishes) {
  const average = (block) => block.sum / block.cells.length;
  const blocks = [];
  let offset = 0;
  row.forEach((cell, i) => {
    cell.offset = offset;
    offset += cell.width + (cell.via || row[i + 1]?.via ? GAP.x / 2 : GAP.x);
    let block = { sum: wishes[i] - cell.offset, cells: [cell] };
    while (blocks.length && average(blocks.at(-1)) > average(block)) {
      const before = blocks.pop();
      block = { sum: before.sum + block.sum, cells: [...before.cells, ...block.cells] };
    }
    blocks.push(block);
  });
  for (const block of blocks) {
    for (const cell of block.cells) cell.x = average(block) + cell.offset;
  }
}

/* ---------- Drawing ---------- */

const svg = document.querySelector("#graph svg");
const drawing = find("drawing");
const boxes = new Map(); // the elements of visible boxes, by id
let lines = []; // the elements of lines, with their origin and goals

function element(name, attributes = {}, ...children) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

function draw() {
  collectLinks();
  layout(outermost);
  const names = ["frames", "lines", "titles", "boxes"]; // from the lowest to the highest
  const layers = Object.fromEntries(names.map((name) => [name, element("g")]));
  boxes.clear();
  lines = [];
  drawGroup(outermost, 0, 0, layers);
  drawing.replaceChildren(...Object.values(layers));
  showStep();
}

function drawGroup(group, left, top, layers) {
  for (const item of group.items) {
    const [x, y] = [left + item.x, top + item.y];
    Object.assign(item, { left: x, top: y });
    if (item.group && !item.folded) {
      drawFrame(item, x, y, layers);
      drawGroup(item, x, y, layers);
    } else {
      layers.boxes.append(drawBox(item, x, y));
    }
  }
  for (const segment of group.segments) {
    const { start, end } = segment;
    const [x1, x2] = [left + start.x + segment.startPort, left + end.x + segment.endPort];
    const y1 = top + (start.item ? start.y + start.height : start.rowTop);
    const bend1 = top + start.rowBottom;
    const bend2 = top + Math.max(end.rowTop, start.rowBottom);
    const y2 = top + (end.via ? end.rowTop : end.y);
    const middle = (bend1 + bend2) / 2;
    const path = element("path", {
      class: "edge",
      d: `M${x1} ${y1}L${x1} ${bend1}C${x1} ${middle} ${x2} ${middle} ${x2} ${bend2}L${x2} ${y2}`,
    });
    const isBox = ({ item }) => Boolean(item) && !(item.group && !item.folded);
    path.classList.toggle("arrow", isBox(end));
    path.classList.toggle("start", isBox(start));
    const goals = [...segment.goals];
    if (goals.every((goal) => !goal.group && goal.view_of === segment.origin.id)) {
      path.classList.add("view");
    }
    const carried = edges.filter(
      (edge) => visible(edge.source) === segment.origin && goals.includes(visible(edge.target)),
    );
    path.classList.toggle("detached", carried.length > 0 && carried.every((e) => e.detached));
    layers.lines.append(path);
    lines.push({ path, origin: segment.origin, goals: segment.goals });
  }
}

function drawFrame(group, x, y, layers) {
  const { width, height } = group.size;
  const level = `level${group.level % 3} sweep${Math.min(group.sweep, 2)}`;
  const body = element("rect", { x, y, width, height, rx: 7 });
  layers.frames.append(element("g", { class: `frame ${level}` }, body));
  const title = element(
    "g",
    {
      class: `frame-title ${level}`, tabindex: 0, role: "button", "aria-expanded": true,
      "aria-label": `Fold ${frameTitle(group)} ${group.path}`, "data-id": group.id,
      transform: `translate(${x} ${y})`,
    },
    element("rect", { x: 1, y: 1, width: width - 2, height: GAP.title - 2, rx: 6 }),
    element("rect", { class: "ring", x: 3, y: 3, width: width - 6, height: GAP.title - 5, rx: 5 }),
    element("text", { class: "title", x: 10, y: 18 }, frameTitle(group)),
    element("text", { class: "title", x: width - 20, y: 18 }, "−"),
  );
  activate(title, () => toggle(group), group);
  layers.titles.append(title);
}

function drawBox(item, x, y) {
  const { width, height, title, lines: texts } = item.size;
  const node = item.group ? item.result : item;
  const classes = ["box"];
  if (item.group) classes.push("folded");
  else if (item.kind !== "op") classes.push(item.kind);
  if (node && roots.has(node.id)) classes.push("output");
  if (item.sweep) classes.push(`sweep${Math.min(item.sweep, 2)}`);
  if (item.group ? item.failed : item.error) classes.push("error");
  const box = element("g", {
    class: classes.join(" "), tabindex: 0, role: "button", transform: `translate(${x} ${y})`,
    "data-id": item.id,
    "aria-label": (item.group ? `Unfold ${item.path} ` : "") + [title, ...texts].join(", "),
  });
  if (item.group) {
    box.setAttribute("aria-expanded", false);
    box.append(element("rect", { class: "back", x: 4, y: 4, width, height, rx: 6 }));
  }
  box.append(
    element("rect", { class: "ring", x: -5, y: -5, width: width + 10, height: height + 10, rx: 9 }),
    element("rect", { class: "body", width, height, rx: 6 }),
    element("text", { class: "title", x: 10, y: 19 }, title),
  );
  if (item.group) box.append(element("text", { class: "title", x: width - 18, y: 19 }, "+"));
  texts.forEach((text, i) => {
    box.append(element("text", { class: "small", x: 10, y: 33 + 14 * i }, text));
  });
  activate(box, () => (item.group ? toggle(item) : select(item)), item);
  boxes.set(item.id, { box, rows: "" });
  return box;
}

function activate(target, action, item) {
  target.addEventListener("click", () => dragged || action());
  target.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && !(event.key === " " && byKeyboard)) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
  target.addEventListener("focus", () => target.matches(":focus-visible") && showDetails(item));
  const hover = (show) => (event) => event.pointerType === "mouse" && show();
  target.addEventListener("pointerenter", hover(() => showDetails(item)));
  target.addEventListener("pointerleave", hover(showCurrent));
}

function toggle(group) {
  const before = { x: group.left, y: group.top };
  group.folded = !group.folded;
  draw();
  // The box under the pointer stays there.
  view.x += (before.x - group.left) * view.scale;
  view.y += (before.y - group.top) * view.scale;
  applyView();
  drawing.querySelector(`[data-id="${group.id}"]`)?.focus({ preventScroll: true });
}

/* ---------- Pan and zoom ---------- */

const isEmbedded = () => document.body.classList.contains("embedded");

const view = { x: 0, y: 0, scale: 1 };
let dragged = false;

function applyView(moving = false) {
  drawing.classList.toggle("moving", moving);
  drawing.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}
function zoom(factor, x = svg.clientWidth / 2, y = svg.clientHeight / 2) {
  const scale = Math.min(4, Math.max(0.05, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  applyView();
}
/** Show the whole graph if that is readable, otherwise its upper part. */
function fit() {
  const { width, height } = outermost.size;
  const across = (svg.clientWidth - 24) / width;
  const down = (svg.clientHeight - 24) / height;
  // In a frame the steps move the view, so that the text need not be tiny.
  const least = isEmbedded() ? 0.7 : 0.3;
  view.scale = Math.min(1.3, Math.max(Math.min(across, down), Math.min(across, 0.8), least));
  view.x = (svg.clientWidth - width * view.scale) / 2;
  const start = outermost.items[0];
  if (across < view.scale && start) {
    const middle = (start.left + start.size.width / 2) * view.scale;
    view.x = Math.min(0, svg.clientWidth / 2 - middle); // nothing is left of the graph
  }
  view.y = Math.max(12, (svg.clientHeight - height * view.scale) / 2);
  applyView();
}
/** Move the view if one of the boxes is outside of it; to the first if it cannot show them all. */
function reveal(...items) {
  const left = view.x + Math.min(...items.map((item) => item.left)) * view.scale;
  const top = view.y + Math.min(...items.map((item) => item.top)) * view.scale;
  const right = view.x + Math.max(...items.map((item) => item.left + item.size.width)) * view.scale;
  const bottom =
    view.y + Math.max(...items.map((item) => item.top + item.size.height)) * view.scale;
  const { clientWidth, clientHeight } = svg;
  if (left >= 0 && top >= 0 && right <= clientWidth && bottom <= clientHeight) return;
  const isTooLarge = right - left > clientWidth || bottom - top > clientHeight;
  if (isTooLarge && items.length > 1) return reveal(items[0]);
  view.x += clientWidth / 2 - (left + right) / 2;
  view.y += clientHeight / 2 - (top + bottom) / 2;
  applyView(true);
}

svg.addEventListener("wheel", (event) => {
  // In another page the wheel scrolls that page.
  if (isEmbedded() && !event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const box = svg.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

const pointers = new Map();
svg.addEventListener("pointerdown", (event) => {
  pointers.set(event.pointerId, event);
  dragged = false;
});
addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (pointers.size === 2) {
    const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
    const distance = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY);
    const box = svg.getBoundingClientRect();
    const factor = distance(event) / (distance(before) || 1);
    zoom(factor, other.clientX - box.left, other.clientY - box.top);
    dragged = true;
  } else {
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    // The pointer may move slightly during a click.
    if (!dragged && Math.hypot(dx, dy) < 4) return;
    dragged = true;
    view.x += dx;
    view.y += dy;
    applyView();
  }
  pointers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"]) {
  addEventListener(name, (event) => pointers.delete(event.pointerId));
}

/* ---------- Steps ---------- */

const computed = [...nodes.values()].filter((node) => node.ins.length || node.op);
const steps = [{ phase: "start" }, ...computed.map((node) => ({ phase: "forward", node }))];
computed.forEach((node, i) => (node.computedAt = i + 1));

// A node takes part in the backward pass if it passes a gradient on.
const passing = (node) => node.ins.filter((edge) => edge.grad !== null);
const active = computed.filter((node) => node.grad !== null && passing(node).length);
const seeds = [...nodes.values()].filter((node) => roots.has(node.id) && node.grad !== null);
if (active.length || seeds.length) {
  steps.push({ phase: "seed" });
  for (const node of seeds) node.seededAt = steps.length - 1;
  for (const node of active.reverse()) {
    node.backwardAt = steps.length;
    steps.push({ phase: "backward", node });
  }
  steps.push({ phase: "end" });
}

/** Collect what arrives at the gradient of each node, in the order of the steps. */
function collectContributions() {
  for (const node of nodes.values()) {
    node.contributions = node.outs
      .filter((edge) => edge.grad !== null && edge.target.backwardAt !== undefined)
      .map((edge) => ({ edge, at: edge.target.backwardAt, grad: edge.grad }))
      .sort((a, b) => a.at - b.at);
    if (node.seededAt !== undefined) {
      const grad = node.contributions.length ? null : node.grad;
      node.contributions.unshift({ seed: true, at: node.seededAt, grad });
    }
  }
}
collectContributions();

// At first everything is shown, as at the last step, but the next step is the first.
const WHOLE = { phase: "whole" };
let isWhole = steps.length > 1;
let current = steps.length - 1;
let selected = null;
let timer = null;

const currentStep = () => (isWhole ? WHOLE : steps[current]);
const valueAt = (node, step) => ((node.computedAt ?? 0) <= step ? array(node.value) : null);

/** The gradient that has arrived at a node: {entry, arrived, total}. */
function gradAt(node, step) {
  const total = node.contributions.length;
  const arrived = node.contributions.filter((part) => part.at <= step);
  if (!arrived.length) return { entry: null, arrived: 0, total };
  if (arrived.length === total) return { entry: array(node.grad), arrived: total, total };
  const parts = arrived.map((part) => array(part.grad)).filter(Boolean);
  let entry = parts.at(-1) ?? null;
  if (parts.length > 1 && parts.every((part) => part.values)) {
    const sumAt = (i) => parts.reduce((sum, part) => sum + Number(part.values[i]), 0);
    const values = parts[0].values.map((_, i) => sumAt(i));
    entry = { ...parts[0], values, images: undefined };
  }
  return { entry, arrived: arrived.length, total };
}

function showStep() {
  const step = currentStep();
  const now = step.node && visible(step.node);
  const backward = step.phase === "backward";
  const receivers = new Set(
    backward ? passing(step.node).map((edge) => visible(edge.source)) : [],
  );
  for (const [id, shown] of boxes) {
    const item = nodes.get(id) ?? groups.get(id);
    const node = item.group ? item.result : item;
    const starts = step.phase === "seed" && seeds.some((seed) => visible(seed) === item);
    const { classList } = shown.box;
    classList.toggle("pending", (node?.computedAt ?? 0) > current);
    classList.toggle("now", now === item && !backward);
    classList.toggle("now-backward", (now === item && backward) || starts);
    classList.toggle("receives", receivers.has(item) && now !== item);
    classList.toggle("selected", selected === item);
    drawRows(item, node, shown);
  }
  for (const { path, origin, goals } of lines) {
    const here = now && goals.has(now) && (backward
      ? receivers.has(origin)
      : step.node.ins.some((edge) => visible(edge.source) === origin));
    path.classList.toggle("now", Boolean(here && !backward));
    path.classList.toggle("now-backward", Boolean(here && backward));
  }
  const reached = isWhole ? 0 : current;
  find("slider").value = reached;
  find("slider").setAttribute("aria-valuetext", caption(step));
  find("position").textContent = `${isWhole ? "–" : current} of ${steps.length - 1}`;
  find("caption").textContent = caption(step);
  // Unlike `disabled`, this leaves the focus on the button that was pressed.
  const disable = (id, isDisabled) => find(id).setAttribute("aria-disabled", isDisabled);
  for (const id of ["first", "back"]) disable(id, current === 0);
  for (const id of ["step", "last"]) disable(id, reached === steps.length - 1);
  showCurrent();
}

/** Show the value and the gradient of a box, as far as they have arrived. */
function drawRows(item, node, shown) {
  if (!node) return;
  const grad = gradAt(node, current);
  const value = valueAt(node, current);
  const key = `${value !== null} ${grad.arrived}`;
  if (shown.rows === key) return;
  shown.rows = key;
  for (const old of shown.box.querySelectorAll(".row")) old.remove();
  let y = 8 + LINE + item.size.lines.length * 14;
  for (const [name, entry, room] of [
    ["value", value, item.size.value],
    [grad.arrived < grad.total ? "grad…" : "grad", grad.entry, item.size.grad],
  ]) {
    if (!room) continue;
    const part = content(entry);
    if (part) {
      const row = element("g", { class: `row ${name}` });
      row.append(element("text", { class: "small", x: 10, y: y + 12 }, name));
      if (part.text) row.append(element("text", { x: 46, y: y + 12 }, part.text));
      let x = 46;
      for (const map of part.maps ?? []) {
        const { width, height } = map;
        const area = { x, y: y + 2, width, height };
        row.append(
          element("image", { ...area, href: map.url, preserveAspectRatio: "none" }),
          element("rect", { ...area, class: "thumb" }),
        );
        x += width + MAP.gap;
      }
      shown.box.append(row);
    }
    y += room.height;
  }
}

/** What a VJP computes, as an equation, and how the engine sums it after broadcasting. */
function ruleText(node, input, name = input) {
  const rule = node.vjps[input];
  if (!rule) return `grad of ${name}`;
  const joint = rule.startsWith("by definition") ? "," : rule.startsWith("see ") ? ":" : " =";
  const summed = node.ins.find((edge) => edge.input === input)?.summed ?? "";
  return `grad of ${name}${joint} ${rule}${summed}`;
}

function caption(step) {
  const { node, phase } = step;
  if (phase === "whole") {
    const what = data.error ? "Graph up to the error" : "Complete graph";
    return `${what}: press Step or Play to go through it.`;
  }
  if (phase === "start") {
    return computed.length
      ? "Start: inputs, parameters and constants have their values; nothing has been computed yet."
      : "Nothing is computed in this graph.";
  }
  if (phase === "seed") {
    const outputs = seeds.map(label).join(", ");
    return `Start of the backward pass: the gradient of each output (${outputs}) is set to 1.`;
  }
  if (phase === "end") {
    const leaves = [...nodes.values()].filter((n) => !n.ins.length && n.grad !== null);
    const names = clip(leaves.map(label).join(", "), 160);
    return `End: all gradients have arrived, including those of ${names}.`;
  }
  const place = where(node) ? ` in ${where(node)}` : "";
  if (phase === "forward") {
    if (node.error) return `${node.op || "The call"}${place} failed: ${node.error}`;
    if (!node.op) return `Output: ${label(node)} is the result of ${label(node.ins[0].source)}.`;
    const inputs = node.ins.map((edge) => label(edge.source) + detachedText(edge)).join(", ");
    const options = node.options ? ` with ${node.options}` : "";
    const formula = node.formula ? `: ${formulaText(node)}` : "";
    const result = `The result is ${shapeText(node.shape)}.`;
    return `Forward, ${node.op}${place} of ${inputs}${options}${formula}. ${result}`;
  }
  if (!node.op) return `The gradient of ${label(node)} goes to ${label(node.ins[0].source)}.`;
  const rules = passing(node).map(
    (edge) => ruleText(node, edge.input, inputText(edge)) + partText(edge),
  );
  return `Backward of ${node.op}${place}: ${rules.join("; ")}.`;
}

/** The formula as an equation; some formulas define the entries of `out` themselves. */
const formulaText = ({ formula }) => (/^out\b/.test(formula) ? formula : `out = ${formula}`);
const detachedText = (edge) => (edge.detached ? " (detached)" : "");
const inputText = (edge) =>
  (label(edge.source) === edge.input ? edge.input : `${edge.input} (${label(edge.source)})`) +
  detachedText(edge);

/** Which of several contributions to a gradient an edge brings. */
function partText(edge) {
  const parts = edge.source.contributions;
  if (parts.length < 2) return "";
  const place = parts.findIndex((part) => part.edge === edge) + 1;
  return `, contribution ${place} of ${parts.length}`;
}

function go(step, byPlayer = false) {
  if (!byPlayer) pause();
  isWhole = false;
  current = Math.max(0, Math.min(steps.length - 1, step));
  selected = null;
  showStep();
  const { node, phase } = steps[current];
  if (!node) return;
  const carrying = phase === "backward" ? passing(node) : node.ins;
  reveal(visible(node), ...carrying.map((edge) => visible(edge.source)));
}
const goOn = () => go(isWhole ? 1 : current + 1);
function pause() {
  clearInterval(timer);
  timer = null;
  find("play").textContent = "Play";
}
function play() {
  if (timer !== null) return pause();
  if (current === steps.length - 1) go(0);
  find("play").textContent = "Pause";
  timer = setInterval(() => {
    go(current + 1, true);
    if (current === steps.length - 1) pause();
  }, 900);
}

/* ---------- Details ---------- */

const details = find("details");

function tag(name, attributes = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children.filter((child) => child !== null && child !== ""));
  return found;
}

/** An array in full: numbers, or heat maps with their statistics. */
function arrayBlock(entry, role = "") {
  if (!entry) return tag("p", { class: "note" }, "not recorded");
  if (entry.values) {
    const text = entry.values.length ? arrayText(entry) : `empty, ${shapeText(entry.shape)}`;
    return tag("pre", { "data-role": role, tabindex: 0 }, text);
  }
  const limits = entry.maps.length > 1 ? [78, 78] : [300, 160];
  const maps = images(entry).map((map, i) => {
    const { width, height } = shownSize(map, ...limits);
    return tag("img", { src: map.url, width, height, alt: `heat map ${i + 1}` });
  });
  const count = entry.total > maps.length ? `; ${maps.length} of ${entry.total} maps` : "";
  const bad = entry.nonfinite ? `, ${entry.nonfinite} nan or inf` : "";
  const statistics = ["min", "max", "mean", "norm"]
    .map((name) => `${name} ${numberText(entry[name])}`)
    .join(", ");
  const range = `colors from ${numberText(-entry.scale)} to ${numberText(entry.scale)}`;
  const note = `${shapeText(entry.shape)}${count}; ${statistics}${bad}; ${range}`;
  const shown = tag("div", { class: "maps" }, ...maps);
  return tag("div", { "data-role": role }, shown, tag("p", { class: "note" }, note));
}

/** A named array inside a rule. */
function term(name, ...parts) {
  return tag("div", { class: "term" }, tag("code", {}, name), ...parts);
}

function listing(rows) {
  const list = tag("dl");
  for (const [name, value] of rows) {
    if (value === "" || value === null || value === undefined) continue;
    list.append(tag("dt", {}, name), tag("dd", {}, value));
  }
  return list;
}

/** The arrays that a rule names, in the order in which it names them. */
function terms(node, rule) {
  const known = new Map([["out", node.value]]);
  for (const edge of node.ins) known.set(edge.input, edge.source.value);
  known.set("grad_out", node.grad);
  const words = new Set(rule.match(/[A-Za-z_]\w*/g));
  const named = [...known].filter(([name]) => words.has(name)).reverse();
  // A definition names no arrays.
  return named.length ? named : [...known].filter(([name]) => name !== "out").reverse();
}

function rulesBlock(node) {
  const found = tag("div");
  const taught = new Set();
  for (const edge of passing(node)) {
    const block = tag("div", { class: "rule" });
    block.append(tag("code", {}, ruleText(node, edge.input)));
    for (const [name, index] of terms(node, node.vjps[edge.input] ?? "")) {
      // An array is shown once, at the first rule that names it.
      const again = taught.has(name);
      taught.add(name);
      block.append(again ? term(`${name}: as above`) : term(name, arrayBlock(array(index))));
    }
    const result = arrayBlock(array(edge.grad), "result");
    block.append(term(`= grad of ${inputText(edge)}`, partText(edge), result));
    found.append(block);
  }
  return found;
}

function gradientBlock(node) {
  const grad = gradAt(node, current);
  if (!grad.total) return "";
  const found = tag("div", {}, tag("h3", {}, `Gradient of ${label(node)}`));
  if (!grad.arrived) {
    found.append(tag("p", { class: "note" }, "has not arrived yet"));
    return found;
  }
  if (grad.total > 1) {
    for (const part of node.contributions.filter((p) => p.at <= current)) {
      const from = part.seed ? "start of the backward pass" : `from ${label(part.edge.target)}`;
      const isOne = part.seed && part.grad === null;
      found.append(term(from, isOne ? tag("pre", {}, "1") : arrayBlock(array(part.grad))));
    }
    const count = grad.arrived < grad.total ? `${grad.arrived} of` : "Sum of";
    found.append(tag("p", {}, `${count} ${grad.total} contributions`));
    if (grad.arrived < grad.total && !grad.entry?.values) return found;
  }
  found.append(arrayBlock(grad.entry, "gradient"));
  return found;
}

function nodeDetails(node, step) {
  const saved = Object.entries(node.saved).map(([name, bytes]) => `${name} (${bytesText(bytes)})`);
  const parts = [
    tag("h2", {}, opTitle(node)),
    node.error ? tag("p", { class: "rule" }, node.error) : null,
  ];
  if (step?.phase === "backward" && node.op) parts.push(rulesBlock(node));
  if (step?.phase === "forward" && node.op) {
    const rule = tag("code", {}, node.formula ? formulaText(node) : node.op);
    const block = tag("div", { class: "rule forward" }, rule);
    for (const edge of node.ins) {
      block.append(term(inputText(edge), arrayBlock(array(edge.source.value))));
    }
    block.append(term("= out", arrayBlock(array(node.value), "value")));
    parts.push(block);
  } else {
    const value = valueAt(node, current);
    parts.push(tag("h3", {}, "Value"), value || (node.computedAt ?? 0) <= current
      ? arrayBlock(value, "value")
      : tag("p", { class: "note" }, "has not been computed yet"));
  }
  parts.push(gradientBlock(node));
  const shared = nodes.get(node.view_of);
  const rules = Object.keys(node.vjps).map((name) =>
    tag("div", {}, tag("code", {}, ruleText(node, name))),
  );
  parts.push(
    tag("h3", {}, "Properties"),
    listing([
      ["kind", node.kind],
      ["module", where(node)],
      ["formula", node.formula && tag("code", {}, node.formula)],
      ["VJPs", rules.length ? tag("div", {}, ...rules) : ""],
      ["options", node.options && tag("code", {}, node.options)],
      ["shape", node.error ? "" : shapeText(node.shape)],
      ["dtype", node.dtype],
      ["size", node.nbytes ? bytesText(node.nbytes) : ""],
      ["FLOPs", node.flops === null ? "" : node.flops.toLocaleString("en")],
      ["time", node.seconds === null ? "" : `${(node.seconds * 1000).toPrecision(3)} ms`],
      ["saved", saved.join(", ")],
      ["view of", shared ? label(shared) : ""],
      ["line", node.line && tag("code", {}, node.line)],
    ]),
  );
  return parts;
}

function groupDetails(group) {
  const ops = contents(group).filter((node) => node.op);
  return [
    tag("h2", {}, groupLabel(group)),
    listing([
      ["path", group.path],
      ["arguments", group.description],
      ["parameters", group.parameters ? group.parameters.toLocaleString("en") : ""],
      ["call", group.calls > 1 ? `${group.call} of ${group.calls}` : ""],
      ["contains", countText(ops.length, "op")],
      ["result", group.result && !group.failed ? shapeText(group.result.shape) : ""],
    ]),
    group.failed ? tag("p", { class: "rule" }, group.failed.error) : null,
    ...(group.result && !group.failed
      ? [
          tag("h3", {}, "Result"),
          arrayBlock(valueAt(group.result, current)),
          gradientBlock(group.result),
        ]
      : []),
    tag("p", { class: "note" }, `Click it, or press Enter, to ${group.folded ? "un" : ""}fold it.`),
  ];
}

function showDetails(item) {
  const step = item === currentStep().node ? currentStep() : null;
  const parts = item.group ? groupDetails(item) : nodeDetails(item, step);
  details.replaceChildren(...parts.filter(Boolean));
}

const HELP = [
  "Step through the computation with the buttons below or the arrow keys.",
  groups.size ? "Click a module to unfold it, or an op or tensor" : "Click an op or tensor",
  "to see its value, gradient and VJPs. Drag to pan; use + and − to zoom.",
].join(" ");
const HEADINGS = {
  whole: "Complete graph",
  start: "Before the forward pass",
  seed: "Start of the backward pass",
  end: "All gradients",
};

/** Show the selected node, or else the node of the current step. */
function showCurrent() {
  const step = currentStep();
  const shown = selected ?? step.node ?? (isWhole && computed.find((node) => node.error));
  if (shown) return showDetails(shown);
  const parts = [tag("h2", {}, HEADINGS[step.phase])];
  if (["whole", "start"].includes(step.phase)) {
    parts.push(tag("p", {}, HELP));
  }
  if (step.phase !== "start") {
    const leaves = [...nodes.values()].filter((n) => !n.ins.length && n.contributions.length);
    const listed = step.phase === "seed" ? seeds : leaves;
    if (isWhole && listed.length) parts.push(tag("h2", {}, HEADINGS.end));
    for (const node of listed.slice(0, 60)) {
      parts.push(tag("h3", {}, label(node)), arrayBlock(gradAt(node, current).entry));
    }
  }
  details.replaceChildren(...parts);
}

function select(item) {
  selected = selected === item ? null : item;
  showStep();
}

/* ---------- Search ---------- */

let found = [];
let matchAt = -1;

function search() {
  const words = find("query").value.trim().toLowerCase();
  const texts = (item) =>
    item.group ? [item.path, item.kind] : [item.name, item.op, where(item)];
  const matches = (item) => texts(item).some((text) => text.toLowerCase().includes(words));
  const all = [...groups.values(), ...nodes.values()].filter((item) => item.order !== undefined);
  found = words ? all.filter(matches) : [];
  found.sort((a, b) => rank(a) - rank(b));
  matchAt = -1;
  const noun = found.length === 1 ? "match" : "matches";
  find("matches").textContent = words ? `${found.length} ${noun}` : "";
  markMatches();
}

function markMatches() {
  const matching = new Set(found.map((item) => (item.group ? item.id : visible(item).id)));
  for (const [id, { box }] of boxes) box.classList.toggle("match", matching.has(id));
}

function nextMatch() {
  if (!found.length) return;
  matchAt = (matchAt + 1) % found.length;
  const item = found[matchAt];
  const hiding = ancestors(item.parent).filter((group) => group.folded);
  for (const group of hiding) group.folded = false;
  selected = item;
  pause();
  draw();
  markMatches();
  reveal(item);
  find("matches").textContent = `${matchAt + 1} of ${found.length}`;
}

/* ---------- Embedding in another page ---------- */

/** The graph without its values and gradients, except for the values of constants. */
function structure({ error, roots, calls, nodes, edges, arrays }) {
  const kept = nodes.map((node) => ({
    ...node,
    value: node.kind === "constant" ? arrays[node.value]?.values ?? null : null,
    grad: node.grad !== null,
    seconds: null,
  }));
  const carried = edges.map((edge) => ({ ...edge, grad: edge.grad !== null }));
  // The order of keys may differ: some servers sort them.
  const sorted = (_, value) =>
    value?.constructor === Object ? Object.fromEntries(Object.entries(value).sort()) : value;
  return JSON.stringify([error, roots, calls, kept, carried], sorted);
}

/**
 * Show the values and gradients of another graph of equal structure, at the current step.
 *
 * Returns whether the structure is equal; otherwise nothing is changed.
 */
function update(other) {
  if (structure(other) !== structure(data)) return false;
  Object.assign(data, other);
  for (const { id, value, grad } of data.nodes) Object.assign(nodes.get(id), { value, grad });
  data.edges
    .filter(({ source, target }) => nodes.has(source) && nodes.has(target))
    .forEach(({ grad }, i) => (edges[i].grad = grad));
  collectContributions();
  draw();
  return true;
}

/** Show what the hash of the address asks for: `#embedded`, `#step=3` or `#end`. */
function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  document.body.classList.toggle("embedded", hash.has("embedded"));
  fit();
  if (hash.has("end")) go(steps.length - 1);
  else if (/^\d+$/.test(hash.get("step"))) go(Number(hash.get("step")));
}
addEventListener("hashchange", readHash);

/* ---------- Controls ---------- */

const on = (id, action, event = "click") => find(id).addEventListener(event, action);
const refold = (action) => () => {
  action();
  draw();
  fit();
};
on("fold", refold(foldAll));
on("layers", refold(foldLayers));
on("unfold", refold(unfoldAll));
on("in", () => zoom(1.25));
on("out", () => zoom(0.8));
on("fit", fit);
on("first", () => go(0));
on("back", () => go(current - 1));
on("step", goOn);
on("last", () => go(steps.length - 1));
on("play", play);
on("slider", (event) => go(Number(event.target.value)), "input");
on("query", search, "input");
on("search", (event) => {
  event.preventDefault();
  nextMatch();
}, "submit");

// After a click, Space plays; it presses buttons and boxes only if the keyboard reached them.
let byKeyboard = false;
addEventListener("pointerdown", () => (byKeyboard = false), true);
addEventListener("keydown", (event) => (byKeyboard ||= event.key === "Tab"), true);
for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", (event) => event.detail && button.blur());
}
addEventListener("keydown", (event) => {
  if (event.target.matches("input, pre") || event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target.matches("button");
  const actions = {
    ArrowRight: goOn,
    ArrowLeft: () => go(current - 1),
    Home: () => go(0),
    End: () => go(steps.length - 1),
    " ": onButton ? null : play,
    "/": () => find("query").focus(),
    "+": () => zoom(1.25),
    "-": () => zoom(0.8),
    0: fit,
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readPalette();
  draw();
});
let fitted = 0;
new ResizeObserver(() => {
  // On phones, the height changes whenever the browser's bars appear or disappear.
  if (svg.clientWidth !== fitted) fit();
  fitted = svg.clientWidth;
}).observe(svg);

const opCount = computed.filter((node) => node.op).length;
const parameters = [...nodes.values()].filter((node) => node.kind === "parameter");
const weights = parameters.reduce((sum, node) => sum + node.shape.reduce((a, b) => a * b, 1), 0);
find("summary").textContent = [
  countText(opCount, "op"),
  weights ? countText(weights, "parameter") : "",
  `${countText(steps.length - 1, "step")}`,
].filter(Boolean).join(", ");
const kinds = new Set(data.nodes.map((node) => node.kind));
const isShown = {
  input: kinds.has("input"),
  parameter: kinds.has("parameter") || kinds.has("buffer"),
  constant: kinds.has("constant"),
  second: data.nodes.some((node) => node.sweep > 1),
  scale: data.arrays.some((entry) => entry.maps || entry.values.length > 4),
};
for (const [name, shown] of Object.entries(isShown)) {
  document.querySelector(`#legend .${name}`).hidden = !shown;
}
document.querySelector("[aria-label=Folding]").hidden = !groups.size;
find("error").textContent = data.error;
find("error").hidden = !data.error;
find("slider").max = steps.length - 1;
readPalette();
foldLayers();
draw();
readHash();

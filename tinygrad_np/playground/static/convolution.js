/** The Convolution tab: a kernel slides over a matrix, one window per step. */

import {
  RETRY, api, bytesOf, debounce, element, find, latest, numberText, reducesMotion, showError,
} from "./common.js";
import {
  MOST_NUMBERS, fillGrid, isInk, largest, moveByArrows, placeOf, readNumber, shade, showShades,
} from "./cells.js";
import { startFields } from "./fields.js";
import { disagreement, sumLines, windowAt } from "./window.js";

const CUSTOM = "custom";
const DRAWING = "my drawing";

const state = {
  kind: "conv",
  values: [[0]],
  weights: [[0]],
  divisor: 1,
  // The options of each kind are kept while another is shown.
  options: {
    conv: { padding: 0, stride: 1, dilation: 1 },
    pool: { rows: 2, columns: 2, padding: 0, stride: 2, dilation: 1 },
  },
  output: null,
  winners: null,
  step: 0,
};
let pictures = [];
let kernels = [];
let cells = { input: [], window: [], output: [] };
let painted = -1; // the step up to which the output is filled
let timer = null;
let edited = null; // the setting that was typed in last

// The Draw tab may prepare an image before this tab is first shown.
document.addEventListener("image-prepared", ({ detail }) => {
  const { image, side } = detail;
  const bytes = bytesOf(image);
  const values = Array.from({ length: side }, (_, row) =>
    [...bytes.slice(row * side, (row + 1) * side)]);
  pictures = [...pictures.filter((one) => one.name !== DRAWING),
    { group: "Draw tab", name: DRAWING, values }];
  if (!kernels.length) return; // not started yet
  listPictures();
  if (find("slide-picture").value === `Draw tab/${DRAWING}`) setPicture();
});

/** Start the tab; called once, when it is first shown. */
export function start() {
  connect();
  load();
}

/** Load the choices and show the first one. */
async function load() {
  try {
    const [shown, known] = await Promise.all([api("/api/pictures"), api("/api/kernels")]);
    pictures = [...shown.pictures, ...pictures];
    kernels = known.kernels;
  } catch (error) {
    showError(find("slide-error"), error);
    if (error.status === 0) setTimeout(load, RETRY);
    return;
  }
  listPictures();
  const options = kernels.map(({ name }) => new Option(name, name));
  find("slide-kernel").replaceChildren(...options, new Option("custom", CUSTOM));
  find("slide-kernel").value = "Sobel, left to right";
  setKernel();
  setPicture();
  startFields((side) => [state.values, ...pictures.map(({ values }) => values)].find((values) =>
    values.length === side && values[0].length === side));
}

/** The options of the current kind. */
const options = () => state.options[state.kind === "conv" ? "conv" : "pool"];

/** Rows and columns of the kernel or of the window of a pooling. */
function windowShape() {
  if (state.kind !== "conv") return [options().rows, options().columns];
  return [state.weights.length, state.weights[0].length];
}

/** What the functions of window.js need. */
function slide() {
  const [rows, columns] = windowShape();
  return { ...state, ...options(), rows, columns };
}

function listPictures() {
  const select = find("slide-picture");
  const chosen = select.value;
  const groups = new Map();
  for (const { group, name } of pictures) {
    if (!groups.has(group)) groups.set(group, element("optgroup", { label: group }));
    const text = group.startsWith("Digits") ? `${name} (${group.split(" ")[1]})` : name;
    groups.get(group).append(new Option(text, `${group}/${name}`));
  }
  groups.set("", new Option("custom", CUSTOM));
  select.replaceChildren(...groups.values());
  if (chosen) select.value = chosen;
}

function setPicture() {
  const chosen = find("slide-picture").value;
  const picture = pictures.find(({ group, name }) => `${group}/${name}` === chosen);
  if (picture) state.values = picture.values.map((row) => [...row]);
  showInput();
  restart();
  document.dispatchEvent(new CustomEvent("input-changed"));
}

function setKernel() {
  const kernel = kernels.find(({ name }) => name === find("slide-kernel").value);
  if (kernel) {
    state.weights = kernel.weights.map((row) => [...row]);
    state.divisor = kernel.divisor;
  }
  showKernel();
}

/** Show the kernel as a grid to edit, and its size and divisor. */
function showKernel() {
  const [rows, columns] = windowShape();
  find("slide-rows").value = rows;
  find("slide-columns").value = columns;
  find("slide-divisor").value = state.divisor;
  const box = find("slide-weights");
  const weights = fillGrid(box, rows, columns, "input", (row, column) =>
    `kernel row ${row}, column ${column}`);
  moveByArrows(box, weights, columns);
  if (state.kind === "conv") {
    const paint = () => weights.forEach((cell, place) =>
      shade(cell, state.weights.flat()[place], largest(state.weights), false));
    weights.forEach((cell, place) => edit(cell, state.weights, place, () => {
      find("slide-kernel").value = CUSTOM;
      paint();
    }));
    paint();
  }
  cells.window = fillGrid(find("slide-window"), rows, columns, "div");
}

/** Let the reader edit one entry of a matrix in an input. */
function edit(cell, matrix, place, changed) {
  const columns = matrix[0].length;
  const [row, column] = placeOf(place, columns);
  cell.value = numberText(matrix[row][column]);
  cell.oninput = () => {
    const value = Number(cell.value.replaceAll("−", "-").replace(",", "."));
    const isNumber = cell.value.trim() !== "" && Math.abs(value) <= 1e6;
    cell.setAttribute("aria-invalid", String(!isNumber));
    if (!isNumber) return;
    matrix[row][column] = value;
    changed();
    compute();
  };
  cell.onblur = () => {
    cell.setAttribute("aria-invalid", "false");
    cell.value = numberText(matrix[row][column]);
  };
}

/** Show the padded input: numbers to edit if it is small, otherwise shades. */
function showInput() {
  const { padding } = options();
  const [height, width] = [state.values.length, state.values[0].length];
  const columns = width + 2 * padding;
  const isSmall = columns <= MOST_NUMBERS;
  const box = find("slide-input");
  const border = state.kind === "max" ? "−∞" : "0";
  cells.input = fillGrid(box, height + 2 * padding, columns, "div");
  const inputs = [];
  cells.input.forEach((cell, place) => {
    const [row, column] = placeOf(place, columns).map((distance) => distance - padding);
    if (row < 0 || row >= height || column < 0 || column >= width) {
      cell.classList.add("pad");
      if (isSmall) cell.textContent = border;
    } else if (isSmall) {
      const input = element("input", { className: "cell", inputMode: "decimal",
        "aria-label": `input row ${row}, column ${column}` });
      edit(input, state.values, row * width + column, () => {
        find("slide-picture").value = CUSTOM;
        shadeInput();
      });
      cell.replaceWith(input);
      cells.input[place] = input;
      inputs.push(input);
    }
  });
  moveByArrows(box, inputs, width);
  shadeInput();
  const padded = padding ? `, padded to ${height + 2 * padding} × ${columns}` : "";
  find("slide-input-note").textContent = `${height} × ${width}${padded}`;
}

/** Color the cells of the input by their values. */
function shadeInput() {
  const most = largest(state.values);
  const hasInk = isInk(state.values);
  const own = cells.input.filter((cell) => !cell.classList.contains("pad"));
  state.values.flat().forEach((value, place) => shade(own[place], value, most, hasInk));
  const box = find("slide-input-shades");
  box.hidden = !find("slide-input").classList.contains("dense");
  showShades(box, state.values);
}

/** Rows and columns of the window with its gaps, and of the padded input. */
function extents() {
  const { padding, dilation } = options();
  const lengths = [state.values.length, state.values[0].length];
  return {
    window: windowShape().map((length) => dilation * (length - 1) + 1),
    padded: lengths.map((length) => length + 2 * padding),
  };
}

/** Why the server refused the settings, in words of this page. */
function explain(error) {
  if (error.status !== 400) return error;
  const { window, padded } = extents();
  if (window.some((length, axis) => length > padded[axis])) {
    return new Error(`The window spans ${window.join(" × ")} cells, more than the padded input, ` +
      `which has ${padded.join(" × ")}. Reduce the window or the dilation, or increase the padding.`);
  }
  const most = Math.floor(Math.min(...window) / 2);
  if (state.kind !== "conv" && options().padding > most) {
    return new Error("The padding of a pooling is at most half of the window: at most " +
      `${most} here.`);
  }
  return error;
}

/** Let the server convolve or pool, then show its output up to the current step. */
const compute = latest(async (isOutdated) => {
  const [rows, columns] = windowShape();
  const { padding, stride, dilation } = options();
  const settings = { rows, columns, divisor: state.divisor, padding, stride, dilation };
  for (const [name, value] of Object.entries(settings)) find(`slide-${name}`).value = value;
  const kernel = state.kind === "conv" ? state.weights
    : Array.from({ length: rows }, () => Array(columns).fill(0));
  const divisor = state.kind === "conv" ? state.divisor : 1;
  let answer = { output: null, winners: null };
  let problem = null;
  find("slide-output").ariaBusy = true;
  try {
    answer = await api("/api/convolve", { json: {
      input: state.values, kernel, divisor, kind: state.kind, padding, stride, dilation } });
  } catch (error) {
    problem = explain(error);
    if (error.status === 0) computeAgain();
  }
  if (isOutdated()) return;
  for (const name of Object.keys(settings)) {
    const control = find(`slide-${name}`);
    control.setAttribute("aria-invalid", String(problem !== null && control === edited));
  }
  // The maximum of a window that contains nothing but padding; JSON has no infinity.
  state.output = answer.output?.map((row) => row.map((value) => value ?? -Infinity)) ?? null;
  state.winners = answer.winners;
  showError(find("slide-error"), problem ?? disagreement(slide()));
  showSize();
  showOutput();
  show(state.step);
  find("slide-output").ariaBusy = false;
});
const computeAgain = debounce(compute, RETRY);

/** Compute, and go to the first step. */
function restart() {
  state.step = 0;
  compute();
}

/** Show the formula of the output size with the numbers filled in, once if both axes agree. */
function showSize() {
  const { padding, stride, dilation } = options();
  const { window, padded } = extents();
  const lengths = [state.values.length, state.values[0].length];
  const formulas = windowShape().map((kernel, axis) => {
    const length = lengths[axis];
    const size = Math.floor((padded[axis] - window[axis]) / stride) + 1;
    const formula = `⌊(${length} + 2·${padding} − ${dilation}·(${kernel} − 1) − 1)/${stride}⌋ + 1`;
    return size < 1 ? `${formula}: does not fit` : `${formula} = ${size}`;
  });
  const names = formulas[0] === formulas[1] ? ["Height and width"] : ["Height", "Width"];
  find("slide-size").replaceChildren(...names.flatMap((name, axis) => [
    element("dt", {}, name), element("dd", { className: "code" }, formulas[axis])]));
}

/** Build the grid of the output, with no cell filled. */
function showOutput() {
  const box = find("slide-output");
  const isDrawn = state.output !== null;
  find("slide-output-note").textContent =
    isDrawn ? `${state.output.length} × ${state.output[0].length}` : "none";
  cells.output = isDrawn ? fillGrid(box, state.output.length, state.output[0].length, "button",
    (row, column) => `output row ${row}, column ${column}`) : [];
  if (!isDrawn) box.replaceChildren();
  moveByArrows(box, cells.output, state.output?.[0].length);
  cells.output.forEach((cell, step) => {
    cell.classList.add("unfilled");
    cell.onfocus = cell.onclick = () => { stop(); show(step); };
  });
  painted = -1;
  const shades = find("slide-output-shades");
  shades.hidden = !isDrawn || !box.classList.contains("dense");
  if (isDrawn) showShades(shades, state.output);
}

/** Show a step: fill the output up to it, mark its window, and write its sum out. */
function show(step) {
  const last = cells.output.length - 1;
  state.step = Math.max(0, Math.min(step, last));
  const slider = find("slide-step");
  slider.max = Math.max(1, last + 1);
  slider.value = state.step + 1;
  // Unlike `disabled`, this leaves the focus on the button that was pressed.
  const disable = (name, isDisabled) =>
    find(`slide-${name}`).setAttribute("aria-disabled", isDisabled);
  for (const name of ["start", "back"]) disable(name, state.step <= 0);
  for (const name of ["next", "end"]) disable(name, state.step >= last);
  for (const control of [slider, find("slide-play")]) control.disabled = last < 0;
  if (last < 0) stop();
  fillOutput();
  showWindow();
}

/** Fill or empty the cells between the step shown before and the current one. */
function fillOutput() {
  if (!cells.output.length) return;
  const outputs = state.output.flat();
  const isDense = find("slide-output").classList.contains("dense");
  const hasInk = isInk(outputs);
  const most = largest(state.output);
  const [first, last] = [Math.min(painted, state.step), Math.max(painted, state.step)];
  for (let step = Math.max(0, first); step <= last; step += 1) {
    const cell = cells.output[step];
    const isFilled = step <= state.step;
    cell.textContent = isFilled && !isDense ? numberText(outputs[step], 3) : "";
    cell.title = isFilled ? numberText(outputs[step], 6) : "";
    cell.classList.toggle("unfilled", !isFilled);
    cell.classList.toggle("current", step === state.step);
    shade(cell, isFilled ? outputs[step] : 0, most, hasInk);
  }
  painted = state.step;
}

/** Mark the window on the input, show its numbers, and write the sum out. */
function showWindow() {
  for (const cell of cells.input) cell.classList.remove("inside", "winner");
  const box = find("slide-sum");
  box.hidden = !cells.output.length;
  if (box.hidden) {
    for (const cell of cells.window) {
      cell.textContent = "";
      cell.className = "cell";
      shade(cell, 0, 0, false);
    }
    find("slide-status").textContent = "";
    return;
  }
  const entries = windowAt(slide(), state.step);
  const most = largest(state.values);
  const hasInk = isInk(state.values);
  entries.forEach(({ place, value, isPadding, isWinner }, index) => {
    cells.input[place].classList.add("inside");
    cells.input[place].classList.toggle("winner", isWinner);
    cells.window[index].textContent = numberText(value, 3);
    cells.window[index].className = `cell${isPadding ? " pad" : ""}${isWinner ? " winner" : ""}`;
    shade(cells.window[index], value, most, hasInk);
  });
  box.replaceChildren(...sumLines(slide(), state.step));
  const columns = state.output[0].length;
  const [row, column] = placeOf(state.step, columns);
  const output = numberText(state.output[row][column], 6);
  find("slide-status").textContent = `Step ${state.step + 1} of ${cells.output.length}: ` +
    `output row ${row}, column ${column} is ${output}.`;
}

/** Play or pause the steps; start over if the last one is shown. */
function play() {
  if (timer !== null) {
    stop();
    return;
  }
  if (reducesMotion()) {
    show(state.step + 1);
    return;
  }
  if (state.step >= cells.output.length - 1) show(0);
  find("slide-play").textContent = "Pause";
  // Screen readers would read every step.
  find("slide-status").setAttribute("aria-live", "off");
  tick();
}

function tick() {
  timer = setTimeout(() => {
    if (state.step >= cells.output.length - 1 || find("convolution").hidden || reducesMotion()) {
      stop();
      return;
    }
    show(state.step + 1);
    tick();
  }, 1000 / Number(find("slide-speed").value));
}

function stop() {
  clearTimeout(timer);
  timer = null;
  find("slide-play").textContent = "Play";
  find("slide-status").removeAttribute("aria-live");
}

/** Return the whole number in a control, or null if it is invalid. */
function read(control) {
  edited = control;
  return readNumber(control, find("slide-error"));
}

/** Crop the kernel to a size, or extend it by zeros. */
function resize(name, length) {
  if (state.kind !== "conv") {
    options()[name] = length;
    return;
  }
  const [rows, columns] = name === "rows" ? [length, state.weights[0].length]
    : [state.weights.length, length];
  state.weights = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => state.weights[row]?.[column] ?? 0));
  find("slide-kernel").value = CUSTOM;
}

function setKind() {
  state.kind = find("slide-kind").value;
  for (const part of find("convolution").querySelectorAll("[data-for]")) {
    part.hidden = part.dataset.for !== state.kind;
  }
  showKernel();
  showInput();
  restart();
}

/** Connect the controls. */
function connect() {
  const choose = (name, action) => {
    find(`slide-${name}`).onchange = () => { stop(); edited = null; action(); };
  };
  choose("kind", setKind);
  choose("picture", setPicture);
  choose("kernel", () => { setKernel(); restart(); });
  for (const name of ["padding", "stride", "dilation"]) {
    find(`slide-${name}`).oninput = ({ target }) => {
      const value = read(target);
      if (value === null) return;
      stop();
      options()[name] = value;
      showInput();
      restart();
    };
  }
  for (const name of ["rows", "columns"]) {
    find(`slide-${name}`).oninput = ({ target }) => {
      const value = read(target);
      if (value === null) return;
      stop();
      resize(name, value);
      showKernel();
      restart();
    };
  }
  find("slide-divisor").oninput = ({ target }) => {
    const value = read(target);
    if (value === null) return;
    state.divisor = value;
    find("slide-kernel").value = CUSTOM;
    compute();
  };
  const steps = {
    start: () => 0,
    back: () => state.step - 1,
    next: () => state.step + 1,
    end: () => cells.output.length - 1,
  };
  for (const [name, step] of Object.entries(steps)) {
    find(`slide-${name}`).onclick = () => { stop(); show(step()); };
  }
  find("slide-step").oninput = ({ target }) => { stop(); show(Number(target.value) - 1); };
  find("slide-play").onclick = play;
  find("convolution").addEventListener("keydown", (event) => {
    const isFree = event.target.matches("input[type=range], .sum");
    if (event.key !== " " || !isFree) return;
    event.preventDefault();
    play();
  });
  find("slide-sizes").open = matchMedia("(min-width: 900px)").matches;
  // No animation for readers who prefer reduced motion.
  find("slide-play").hidden = find("slide-pace").hidden = reducesMotion();
}

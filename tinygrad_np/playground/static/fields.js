/** Receptive fields: the pixels and cells that one cell of a network's layer depends on. */

import {
  RETRY, api, countText, debounce, drawPixels, element, find, latest, onSchemeChange, palette,
  showError,
} from "./common.js";
import { fillGrid, isInk, largest, moveByArrows, placeOf, readNumber, shade } from "./cells.js";

let models = [];
let found = null;
let picture; // returns a matrix of a size

/** Fill the controls and show a first field; `choosePicture(side)` returns a matrix of this size. */
export function startFields(choosePicture) {
  picture = choosePicture;
  document.addEventListener("input-changed", () => found && showInput());
  onSchemeChange(() => found && showCones());
  const findSoon = debounce(findField, 120);
  find("field-model").onchange = () => { listLayers(); findField(); };
  find("field-layer").onchange = () => { setLayer(); findField(); };
  find("field-row").oninput = findSoon;
  find("field-column").oninput = findSoon;
  find("field-maps").addEventListener("click", ({ target }) => {
    if (!target.matches("button.cell")) return;
    find("field-row").value = target.dataset.row;
    find("field-column").value = target.dataset.column;
    findField();
  });
  load();
}

/** Load the models and show a field of one. */
async function load() {
  try {
    models = (await api("/api/layers")).models;
  } catch (error) {
    showError(find("field-error"), error);
    if (error.status === 0) setTimeout(load, RETRY);
    return;
  }
  find("field-model").replaceChildren(...models.map(({ name, error }) => {
    const option = new Option(error ? `${name} (no feature maps)` : name, name);
    option.disabled = Boolean(error);
    return option;
  }));
  find("field-model").value = "MnistCNN";
  listLayers();
  findField();
}

const chosenModel = () => models.find(({ name }) => name === find("field-model").value);
const chosenLayer = () =>
  chosenModel().layers.find(({ name }) => name === find("field-layer").value);

function listLayers() {
  const { layers } = chosenModel();
  find("field-layer").replaceChildren(...layers.map(({ name, kind, height, width }) =>
    new Option(`${name}: ${kind}, ${height} × ${width}`, name)));
  find("field-layer").value = layers.at(-1).name;
  setLayer();
}

/** Choose the cell in the middle of a layer. */
function setLayer() {
  const { height, width } = chosenLayer();
  find("field-row").max = height - 1;
  find("field-column").max = width - 1;
  find("field-row").value = Math.floor(height / 2);
  find("field-column").value = Math.floor(width / 2);
}

/** Ask the server for the field of the chosen cell and show it. */
const findField = latest(async (isOutdated) => {
  const [row, column] = ["row", "column"].map((name) =>
    readNumber(find(`field-${name}`), find("field-error")));
  const isValid = row !== null && column !== null;
  find("field-maps").setAttribute("aria-busy", String(isValid));
  if (!isValid) {
    find("field-status").textContent = "";
    return;
  }
  const wait = setTimeout(() => { find("field-status").textContent = "Running the model…"; }, 400);
  let problem = null;
  let answer = null;
  try {
    answer = await api("/api/receptive-field", { json: {
      model: find("field-model").value, layer: find("field-layer").value, row, column } });
  } catch (error) {
    problem = error;
    if (error.status === 0) findAgain();
  }
  clearTimeout(wait);
  if (isOutdated()) return;
  find("field-maps").setAttribute("aria-busy", "false");
  showError(find("field-error"), problem);
  if (problem) {
    find("field-status").textContent = "";
    return;
  }
  const hadFocus = find("field-maps").contains(document.activeElement);
  found = { ...answer, row, column };
  describe();
  showMaps();
  showInput();
  if (hadFocus) find("field-maps").querySelector("button.current").focus();
});
const findAgain = debounce(findField, RETRY);

/** The first and last rows, or columns, that contain a 1. */
function extent(cells) {
  const used = cells.flatMap((line, place) => (line.includes("1") ? [place] : []));
  return [used[0], used.at(-1)];
}

const columnsOf = (cells) =>
  Array.from(cells[0], (_, column) => cells.map((line) => line[column]).join(""));

/** Say where the field is and how large. */
function describe() {
  const { cells, height, width } = found.layers[0];
  const count = cells.join("").split("1").length - 1;
  const [top, bottom] = extent(cells);
  const [left, right] = extent(columnsOf(cells));
  const [down, across] = found.jump;
  const parts = [`Row ${found.row}, column ${found.column} of ${found.layers.at(-1).name} ` +
    `depends on ${count} of ${height * width} pixels`];
  if (count) {
    parts.push(`: ${bottom - top + 1} × ${right - left + 1}, rows ${top} to ${bottom}, columns ` +
      `${left} to ${right}`);
  }
  parts.push(". ");
  if (count === height * width && !down && !across) parts.push("So does every other cell.");
  else if (down === across) {
    parts.push(`The next cell's field is ${countText(down, "pixel")} away.`);
  } else parts.push(`The next cell's field is ${down} rows or ${across} columns away.`);
  find("field-status").textContent = parts.join("");
}

/** Build a figure per map: the input, the layers in between, and the chosen layer. */
function showMaps() {
  const figures = found.layers.map(({ name, kind, height, width, cells }, place) => {
    const count = cells.join("").split("1").length - 1;
    const isLast = place === found.layers.length - 1;
    let shownMap;
    if (place === 0) shownMap = element("div", { className: "cells field-input dense" });
    else if (isLast) shownMap = element("div", { className: "cells", role: "group",
      "aria-label": `Cells of ${name}` });
    else shownMap = element("canvas", { className: "pixels", role: "img",
      "aria-label": `${name}: ${countText(count, "cell")}` });
    const lines = [kind, `${height} × ${width}`, countText(count, place ? "cell" : "pixel")];
    const caption = element("figcaption", {},
      element("strong", {}, name.replaceAll(".", ".\u200b")), // may wrap after a dot
      ...lines.map((line) => element("div", {}, line)));
    const names = ["map", place === 0 ? "first" : "", isLast ? "last" : ""];
    const hint = isLast ? [element("p", {}, "Choose a cell:")] : [];
    return element("figure", { className: names.join(" ").trim() }, ...hint, shownMap, caption);
  });
  find("field-maps").replaceChildren(...figures);
  showCones();
  const { height, width, name } = found.layers.at(-1);
  const box = figures.at(-1).querySelector(".cells");
  const buttons = fillGrid(box, height, width, "button", (row, column) =>
    `${name} row ${row}, column ${column}`);
  moveByArrows(box, buttons, width);
  buttons.forEach((button, place) => {
    const [row, column] = placeOf(place, width);
    Object.assign(button.dataset, { row, column });
    const isChosen = row === found.row && column === found.column;
    button.classList.toggle("current", isChosen);
    button.setAttribute("aria-pressed", String(isChosen));
    button.tabIndex = isChosen ? 0 : -1;
  });
}

/** Draw the cells of the layers in between. */
function showCones() {
  const colors = palette("--panel", "--accent");
  const layers = found.layers.slice(1, -1);
  find("field-maps").querySelectorAll("canvas").forEach((canvas, place) => {
    const { cells, height, width } = layers[place];
    const bytes = Array.from(cells.join(""), (cell) => 255 * Number(cell));
    drawPixels(canvas, bytes, height, width, colors);
  });
}

/** Draw a picture with the field marked. */
function showInput() {
  const { cells, height, width } = found.layers[0];
  const values = picture(height).flat();
  const most = largest([values]);
  const hasInk = isInk(values);
  const box = find("field-maps").querySelector(".field-input");
  const isInside = (row, column) => cells[row]?.[column] === "1";
  fillGrid(box, height, width, "div").forEach((pixel, place) => {
    const [row, column] = placeOf(place, width);
    shade(pixel, values[place], most, hasInk);
    if (!isInside(row, column)) return;
    pixel.classList.add("in-field");
    pixel.classList.toggle("above", !isInside(row - 1, column));
    pixel.classList.toggle("below", !isInside(row + 1, column));
    pixel.classList.toggle("before", !isInside(row, column - 1));
    pixel.classList.toggle("after", !isInside(row, column + 1));
  });
  box.classList.add("dense");
}

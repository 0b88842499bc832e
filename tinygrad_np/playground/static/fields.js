/** Receptive fields: the pixels and cells that one cell of a network's layer depends on. */

import { api, countText, debounce, drawPixels, element, find, onSchemeChange, palette, showError }
  from "./common.js";
import { fillGrid, largest, moveByArrows, placeOf, shade } from "./cells.js";

let models = [];
let found = null;
let request = 0;

/** Fill the controls and show a first field; `picture(side)` returns a matrix of this size. */
export async function startFields(picture) {
  const showPicture = () => found && showInput(picture);
  document.addEventListener("input-changed", showPicture);
  onSchemeChange(() => found && showCones());
  const findSoon = debounce(() => findField(picture), 120);
  find("field-model").onchange = () => { listLayers(); findField(picture); };
  find("field-layer").onchange = () => { setLayer(); findField(picture); };
  find("field-row").oninput = findSoon;
  find("field-column").oninput = findSoon;
  find("field-maps").addEventListener("click", ({ target }) => {
    if (!target.matches("button.cell")) return;
    find("field-row").value = target.dataset.row;
    find("field-column").value = target.dataset.column;
    findField(picture);
  });
  try {
    models = (await api("/api/layers")).models;
  } catch (error) {
    showError(find("field-error"), error);
    return;
  }
  find("field-model").replaceChildren(...models.map(({ name, error }) => {
    const option = new Option(error ? `${name} (no feature maps)` : name, name);
    option.disabled = Boolean(error);
    return option;
  }));
  find("field-model").value = "MnistCNN";
  listLayers();
  findField(picture);
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
async function findField(picture) {
  const own = ++request;
  const [row, column] = ["row", "column"].map((name) => Number(find(`field-${name}`).value));
  find("field-maps").setAttribute("aria-busy", "true");
  const wait = setTimeout(() => { find("field-status").textContent = "Running the model…"; }, 400);
  let problem = null;
  let answer = null;
  try {
    answer = await api("/api/receptive-field", { json: {
      model: find("field-model").value, layer: find("field-layer").value, row, column } });
  } catch (error) {
    problem = error;
  }
  clearTimeout(wait);
  if (own !== request) return;
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
  showInput(picture);
  if (hadFocus) find("field-maps").querySelector("button.current").focus();
}

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
    let picture;
    if (place === 0) picture = element("div", { className: "cells field-input dense" });
    else if (isLast) picture = element("div", { className: "cells", role: "group",
      "aria-label": `Cells of ${name}` });
    else picture = element("canvas", { className: "pixels", role: "img",
      "aria-label": `${name}: ${countText(count, "cell")}` });
    const lines = [kind, `${height} × ${width}`, countText(count, place ? "cell" : "pixel")];
    const caption = element("figcaption", {},
      element("strong", {}, name.replaceAll(".", ".\u200b")), // may wrap after a dot
      ...lines.map((line) => element("div", {}, line)));
    const names = ["map", place === 0 ? "first" : "", isLast ? "last" : ""];
    const hint = isLast ? [element("p", {}, "Choose a cell:")] : [];
    return element("figure", { className: names.join(" ").trim() }, ...hint, picture, caption);
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
function showInput(picture) {
  const { cells, height, width } = found.layers[0];
  const values = picture(height).flat();
  const most = largest([values]);
  const isInk = values.every((value) => value >= 0);
  const box = find("field-maps").querySelector(".field-input");
  const isInside = (row, column) => cells[row]?.[column] === "1";
  fillGrid(box, height, width, "div").forEach((pixel, place) => {
    const [row, column] = placeOf(place, width);
    shade(pixel, values[place], most, isInk);
    if (!isInside(row, column)) return;
    pixel.classList.add("field");
    pixel.classList.toggle("above", !isInside(row - 1, column));
    pixel.classList.toggle("below", !isInside(row + 1, column));
    pixel.classList.toggle("before", !isInside(row, column - 1));
    pixel.classList.toggle("after", !isInside(row, column + 1));
  });
  box.classList.add("dense");
}

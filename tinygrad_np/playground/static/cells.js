/** Grids of cells: numbers to edit, numbers to read, or shades. */

import { element, numberText, showError } from "./common.js";

/** A grid with more columns shows shades instead of numbers. */
export const MOST_NUMBERS = 14;

/** Row and column of a cell, given its index in row-major order. */
export const placeOf = (place, columns) => [Math.floor(place / columns), place % columns];

/**
 * Fill `box` with rows * columns cells and return them, row by row.
 * `tag` is "div", "button" or "input"; `name(row, column)` is the label of a button or input.
 */
export function fillGrid(box, rows, columns, tag, name) {
  box.style.setProperty("--count", columns);
  box.classList.toggle("dense", columns > MOST_NUMBERS);
  const cells = Array.from({ length: rows * columns }, (_, place) => {
    const cell = element(tag, { className: "cell" });
    if (tag === "button") cell.type = "button";
    if (tag === "input") cell.inputMode = "decimal";
    if (tag !== "div") cell.setAttribute("aria-label", name(...placeOf(place, columns)));
    return cell;
  });
  box.replaceChildren(...cells);
  return cells;
}

/** Make one of the cells reachable with Tab, and move between them with the arrow keys. */
export function moveByArrows(box, cells, columns) {
  cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
  box.onfocusin = (event) => {
    if (!cells.includes(event.target)) return;
    for (const cell of cells) cell.tabIndex = cell === event.target ? 0 : -1;
    event.target.select?.();
  };
  box.onkeydown = (event) => {
    const place = cells.indexOf(event.target);
    const column = place % columns;
    const target = {
      ArrowUp: place - columns,
      ArrowDown: place + columns,
      ArrowLeft: column > 0 ? place - 1 : -1,
      ArrowRight: column < columns - 1 ? place + 1 : -1,
    }[event.key];
    if (place < 0 || target === undefined) return;
    event.preventDefault();
    cells[target]?.focus();
  };
}

/** Color a cell by `value` out of `most`: ink on paper if `hasInk`, else by the sign. */
export function shade(cell, value, most, hasInk) {
  const share = most && Number.isFinite(value) ? Math.min(1, Math.abs(value) / most) : 0;
  cell.style.setProperty("--share", share);
  cell.classList.toggle("ink", hasInk);
  cell.classList.toggle("negative", value < 0);
}

/** The largest absolute value among the finite entries. */
export const largest = (matrix) =>
  Math.max(...matrix.flat().filter(Number.isFinite).map(Math.abs), 0);

/** Whether no entry is negative, so that shades need only one color. */
export const isInk = (matrix) => matrix.flat().every((value) => value >= 0);

/** Show the legend of the shades of a matrix. */
export function showShades(box, matrix) {
  const most = largest(matrix);
  const hasInk = isInk(matrix);
  box.replaceChildren(
    numberText(hasInk ? 0 : -most), element("span", { className: hasInk ? "bar ink" : "bar" }),
    numberText(most));
}

/** Return the whole number in a control; if it is invalid, say so in `box` and return null. */
export function readNumber(control, box) {
  const isValid = control.value !== "" && control.checkValidity();
  control.setAttribute("aria-invalid", String(!isValid));
  if (isValid) return Number(control.value);
  showError(box, new Error(`${control.labels[0].textContent}: enter a whole number from ` +
    `${control.min} to ${control.max}.`));
  return null;
}

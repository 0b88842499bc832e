/**
 * What a window computes. A `slide` has the matrices `values` and `weights`, the `kind` of op and
 * its options, and the server's `output` and `winners`.
 */

import { element, numberText } from "./common.js";
import { placeOf } from "./cells.js";

const OPS = { conv: "conv2d", max: "max_pool2d", avg: "avg_pool2d" };

/** The entries of the window of one step, row by row. */
export function windowAt(slide, step) {
  const { rows, columns, padding, stride, dilation } = slide;
  const [height, width] = [slide.values.length, slide.values[0].length];
  const outputColumns = slide.output[0].length;
  const [outputRow, outputColumn] = placeOf(step, outputColumns);
  const winner = slide.winners?.[outputRow][outputColumn];
  return Array.from({ length: rows * columns }, (_, place) => {
    const [kernelRow, kernelColumn] = placeOf(place, columns);
    const row = outputRow * stride + kernelRow * dilation - padding;
    const column = outputColumn * stride + kernelColumn * dilation - padding;
    const isPadding = row < 0 || row >= height || column < 0 || column >= width;
    const border = slide.kind === "max" ? -Infinity : 0;
    return {
      row, column, isPadding,
      value: isPadding ? border : slide.values[row][column],
      weight: slide.kind === "conv" ? slide.weights[kernelRow][kernelColumn] : 1,
      isWinner: !isPadding && winner === row * width + column,
      place: (row + padding) * (width + 2 * padding) + column + padding,
    };
  });
}

/** The sum of a window's products, what it is divided by, and the output that results. */
function resultAt(slide, step) {
  const entries = windowAt(slide, step);
  if (slide.kind === "max") return { output: Math.max(...entries.map(({ value }) => value)) };
  const sum = entries.reduce((total, { value, weight }) => total + value * weight, 0);
  const divisor = slide.kind === "conv" ? slide.divisor : entries.length;
  return { sum, divisor, output: sum / divisor };
}

/** An error if the sums written out on the page differ from the server's output. */
export function disagreement(slide) {
  const outputs = slide.output.flat();
  const place = outputs.findIndex((value, step) => {
    const size = windowAt(slide, step).reduce((total, { value: entry, weight }) =>
      total + Math.abs(Number.isFinite(entry) ? entry * weight : 0), 0);
    const own = resultAt(slide, step).output;
    return own !== value && !(Math.abs(own - value) <= 1e-9 * (1 + size));
  });
  if (place < 0) return null;
  const [row, column] = placeOf(place, slide.output[0].length);
  return new Error(`Output row ${row}, column ${column} is ${numberText(outputs[place], 6)} ` +
    `according to ${OPS[slide.kind]}, but this page computes ` +
    `${numberText(resultAt(slide, place).output, 6)}.`);
}

/** The sum or maximum of a window, a line per row of the window and one for the result. */
export function sumLines(slide, step) {
  const { columns } = slide;
  const entries = windowAt(slide, step);
  const isMax = slide.kind === "max";
  const inBrackets = (value) => (value < 0 ? `(${numberText(value)})` : numberText(value));
  const text = ({ value, weight }) => {
    if (isMax) return numberText(value);
    return slide.kind === "conv" ? `${inBrackets(value)}·${inBrackets(weight)}` : inBrackets(value);
  };
  const [first, later, between] = isMax ? ["max(", "    ", ", "] : ["  ", "+ ", " + "];
  const lines = [];
  for (let start = 0; start < entries.length; start += columns) {
    const line = element("div", {}, start ? later : first);
    entries.slice(start, start + columns).forEach((entry, place) => {
      const names = ["term", entry.isPadding ? "pad" : "", entry.isWinner ? "winner" : ""];
      if (place) line.append(between);
      line.append(element("span", { className: names.join(" ").trim() }, text(entry)));
    });
    if (isMax) line.append(start + columns < entries.length ? "," : ")");
    lines.push(line);
  }
  const { sum, divisor, output } = resultAt(slide, step);
  const result = element("strong", {}, numberText(output, 6));
  if (isMax) {
    const winner = entries.find(({ isWinner }) => isWinner);
    const where = winner ? ` at input row ${winner.row}, column ${winner.column}` : "";
    lines.push(element("div", {}, "= ", result, where));
  } else if (divisor === 1) {
    lines.push(element("div", {}, "= ", result));
  } else {
    lines.push(element("div", {}, `= ${numberText(sum, 6)}`));
    lines.push(element("div", {}, `  ${inBrackets(sum)} / ${numberText(divisor)} = `, result));
  }
  return lines;
}

/** The tab "Draw": a sheet, the prediction, a look inside the network, and corrections. */

import {
  RETRY, api, bytesOf, countText, debounce, drawPixels, element, find, heatPalette, inkPalette,
  latest, numberText, onSchemeChange, percentText, showError, signedPalette,
} from "./common.js";
import { Sheet } from "./sheet.js";

const PATIENCE = 10000; // milliseconds until an answer counts as missing
const REFUSED = [413, 415, 422]; // statuses of files that are too large or no pictures
const SLOW = { message: "The playground is slow. Waiting for a response…" };
const part = (name) => find(`draw-${name}`);

let sheet;
let models = [];
let model; // the chosen one
let shown; // the answer of /api/predict on the page, and its model; null for an empty sheet
let inside; // the answer of /api/inspect that belongs to `shown`
let label = null; // the class chosen as a correction
let version = 0; // counts changes of the drawing and of the model

/** Start the tab; called once, when it is first shown. */
export function start(panel) {
  sheet = new Sheet(part("canvas"), part("sheet"), change);
  part("width").addEventListener("input", useBrush);
  useBrush();
  part("undo").addEventListener("click", () => sheet.undo());
  part("clear").addEventListener("click", () => sheet.clear());
  part("file").addEventListener("change", (event) => {
    if (event.target.files.length) sheet.place(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file && !panel.hidden) sheet.place(file);
  });
  part("model").addEventListener("change", () => choose(part("model").value));
  part("graph-button").addEventListener("click", toggleGraph);
  part("save").addEventListener("click", saveCorrection);
  part("remove").addEventListener("click", removeCorrection);
  part("train").addEventListener("click", () => {
    document.dispatchEvent(
      new CustomEvent("train-corrections", { detail: { model: model.name } }),
    );
  });
  document.addEventListener("models-changed", () => loadModels());
  document.addEventListener("use-model", (event) => loadModels(event.detail.name));
  onSchemeChange(() => {
    sheet.redraw();
    showPictures();
    showLayers();
  });
  change();
  loadModels();
  updateCorrections({});
}

/* ---------- Models ---------- */

/** Load the list of models and choose one: the given one, else the one chosen before. */
async function loadModels(name = model?.name) {
  try {
    const answer = await api("/api/models");
    models = answer.models;
    showLeftOut(answer.left_out);
    showError(part("error"));
  } catch (error) {
    showError(part("error"), error);
    if (error.status === 0) setTimeout(() => loadModels(name), RETRY);
    return;
  }
  part("model").replaceChildren(...models.map(({ name: value, title, model: kind, data, finished }) =>
    element("option", {
      value, textContent: `${title} (${kind}, ${data}${finished ? "" : ", not finished"})`,
    })));
  choose(models.some((one) => one.name === name) ? name : models[0].name);
}

function choose(name) {
  if (name !== model?.name) inside = null;
  model = models.find((one) => one.name === name);
  part("model").value = name;
  part("note").textContent = model.note ? `About this model: ${model.note}.` : "";
  showBars();
  part("digits").replaceChildren(...model.classes.map((one, place) =>
    element("button", {
      type: "button", textContent: one, "aria-pressed": "false", onclick: () => pick(place),
    })));
  pick(null);
  change();
}

function showLeftOut(reasons) {
  const box = part("left-out");
  const names = Object.keys(reasons);
  box.hidden = !names.length;
  box.querySelector("summary").textContent = `${countText(names.length, "run")} cannot be used`;
  box.querySelector("ul").replaceChildren(...names.map((name) =>
    element("li", { textContent: `${name}: ${reasons[name]}` })));
}

/* ---------- Prediction ---------- */

function useBrush() {
  sheet.width = Number(part("width").value) / 100;
}

/** Follow a change of the drawing or the model. */
function change() {
  version += 1;
  part("invitation").hidden = !sheet.isEmpty;
  disable(part("undo"), !sheet.canUndo, part("canvas"));
  disable(part("clear"), sheet.isEmpty, part("canvas"));
  showError(part("file-error"));
  if (!model) return;
  if (sheet.isEmpty) {
    showError(part("error"));
    show(null);
  } else {
    predict();
  }
}

/** Disable or enable a button; if it has the focus and loses it, another element gets it. */
function disable(button, isDisabled, next) {
  if (isDisabled && button === document.activeElement) next.focus({ preventScroll: true });
  button.disabled = isDisabled;
}

const predict = latest(async () => {
  const [asked, chosen] = [version, model];
  const [{ file }] = sheet.visible;
  const report = (error) => sheet.isEmpty || showError(part("error"), error);
  const wait = setTimeout(() => report(SLOW), 1500);
  try {
    const body = await sheet.picture();
    const query = new URLSearchParams({ model: chosen.name, ...(file && { upload: "" }) });
    const answer = await api(`/api/predict?${query}`, { body, signal: AbortSignal.timeout(PATIENCE) });
    // While drawing, also show answers for a slightly earlier state of the drawing.
    if (!sheet.isEmpty && chosen === model) show({ ...answer, model });
    showError(part("error"));
  } catch (error) {
    if (file && REFUSED.includes(error.status)) {
      refuse(file, error);
      return;
    }
    if (asked === version) show(null);
    report(error);
    if (error.status === 0) setTimeout(() => asked === version && predict(), RETRY);
  } finally {
    clearTimeout(wait);
  }
});

/** Take a file that cannot be read off the sheet again, and say why. */
function refuse(file, error) {
  sheet.remove(file);
  showError(part("file-error"), error);
}

/** Show an answer to /api/predict, or that there is none. */
function show(answer) {
  shown = answer;
  const isRead = answer && !answer.empty;
  // The Convolution tab offers the drawing as an input.
  if (isRead) document.dispatchEvent(new CustomEvent("image-prepared", { detail: answer }));
  const best = isRead ? answer.probabilities.indexOf(Math.max(...answer.probabilities)) : -1;
  const name = isRead ? model.classes[best] : "?";
  part("answer").textContent = name;
  part("answer").classList.toggle("long", name.length > 2);
  part("answer").classList.toggle("none", !isRead);
  part("confidence").textContent = isRead
    ? `${percentText(answer.probabilities[best])} confident`
    : answer ? "Nothing to read yet."
    : sheet.isEmpty ? "Draw, and the probabilities change with every stroke." : "No answer.";
  showWarnings(answer?.warnings ?? []);
  showBars(isRead ? answer.probabilities : [], best);
  updateSave();
  if (!isRead) inside = null;
  showPictures();
  if (!isRead) showLayers();
  pause();
}

/** Show warnings; unchanged ones are left alone, so that screen readers do not repeat them. */
function showWarnings(warnings) {
  const box = part("warnings");
  if ([...box.children].map((one) => one.textContent).join() === warnings.join()) return;
  box.replaceChildren(...warnings.map((text) =>
    element("p", { className: "warning", textContent: text })));
}

/** Update the slower parts once the drawing pauses. */
const pause = debounce(() => {
  const isRead = shown && !shown.empty;
  part("spoken").textContent = isRead
    ? `Read as ${part("answer").textContent}, ${part("confidence").textContent}` : "";
  if (isRead) inspect();
  followGraph();
}, 250);

function showBars(probabilities = [], best = -1) {
  const rows = part("bars");
  const names = model.classes;
  if (rows.children.length !== names.length || rows.dataset.names !== names.join()) {
    rows.dataset.names = names.join();
    rows.closest("table").style.setProperty(
      "--names", `${0.6 * Math.max(...names.map((name) => name.length)) + 1.2}em`);
    rows.replaceChildren(...names.map((name) => element("tr", {},
      element("th", { scope: "row", textContent: name }),
      element("td", {}, element("div", { className: "draw-bar" }, element("div"))),
      element("td", { className: "number" }))));
  }
  for (const [place, row] of [...rows.children].entries()) {
    const probability = probabilities[place] ?? 0;
    row.classList.toggle("best", place === best);
    row.querySelector(".draw-bar div").style.transform = `scaleX(${probability})`;
    row.lastChild.textContent = probabilities.length ? percentText(probability) : "–";
  }
}

/* ---------- A look inside ---------- */

const inspect = latest(async () => {
  const asked = shown;
  if (!asked || asked.empty) return;
  try {
    const json = { model: asked.model.name, image: asked.image };
    const found = await api("/api/inspect", { json, signal: AbortSignal.timeout(PATIENCE) });
    if (shown?.image !== asked.image || shown.model !== asked.model) return; // it is outdated
    inside = found;
    showError(part("error"));
    showPictures();
    showLayers();
  } catch (error) {
    showError(part("error"), error);
    if (error.status === 0) setTimeout(inspect, RETRY);
  }
});

/** Show the network's input, and the saliency map over it. */
function showPictures() {
  const side = model?.side ?? 28;
  const ink = shown ? bytesOf(shown.image) : new Uint8Array(side * side);
  drawPixels(part("image"), ink, side, side);
  part("image-caption").textContent =
    `${side}×${side} pixels: your drawing, cropped, scaled and centered like the training images.`;
  const heat = inside ? bytesOf(inside.saliency) : new Uint8Array(side * side);
  drawHeat(part("saliency"), ink, heat.length === ink.length ? heat : ink.map(() => 0), side);
  part("saliency-caption").textContent = inside
    ? `Saliency: the score of “${part("answer").textContent}” is most sensitive to the orange ` +
      "pixels. Gray is your ink."
    : "Saliency: the pixels that matter most for the answer.";
}

/** Draw faint ink, and over it heat from transparent to full. */
function drawHeat(canvas, ink, heat, side) {
  const paper = inkPalette();
  const hot = heatPalette()[255];
  canvas.width = canvas.height = side;
  const picture = new ImageData(side, side);
  ink.forEach((level, place) => {
    const mixed = paper[Math.round(0.3 * level)].map((value, i) =>
      value + (heat[place] / 255) * (hot[i] - value));
    picture.data.set([...mixed, 255], 4 * place);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Show the maps of each layer; rebuild the elements only if the architecture changes. */
function showLayers() {
  const box = part("layers");
  const layers = inside?.layers ?? [];
  part("layers-note").textContent = layers.length
    ? "Orange is positive, blue is negative; each layer has its own scale. At most 16 maps per " +
      "layer are shown."
    : "Draw something: the output of every layer appears here when you pause.";
  const structure = JSON.stringify(layers.map(({ path, kind, shape }) => [path, kind, shape]));
  if (box.dataset.structure !== structure) {
    box.dataset.structure = structure;
    box.replaceChildren(...layers.map(makeLayer));
  }
  for (const [place, layer] of layers.entries()) {
    const colors = colorsOf(layer);
    const section = box.children[place];
    section.querySelector(".draw-range").textContent =
      `from ${numberText(layer.low, 3)} to ${numberText(layer.high, 3)}`;
    for (const [at, canvas] of [...section.querySelectorAll("canvas")].entries()) {
      drawPixels(canvas, bytesOf(layer.maps[at]), layer.height, layer.width, colors);
    }
  }
}

function makeLayer({ path, kind, shape, maps, height, width }) {
  const isVector = shape.length === 1;
  const size = isVector ? countText(shape[0], "value")
    : `${countText(shape[0], "map")} of ${shape[1]}×${shape[2]}`;
  const strip = element("div", {
    className: isVector ? "draw-maps vector" : "draw-maps", role: "img",
    "aria-label": `${size} of layer ${path || kind}`,
  }, ...maps.map(() => element("canvas")));
  strip.style.setProperty("--ratio", `${width} / ${height}`);
  return element("section", { className: "draw-layer", "aria-label": `Layer ${path || kind}` },
    element("div", {},
      element("h3", { textContent: path && path !== kind ? `${path} · ${kind}` : kind }),
      element("p", { className: "note" }, size, element("br"),
        element("span", { className: "draw-range" }))),
    isVector && shape[0] === model.classes.length ? element("div", {}, strip, makeNames()) : strip);
}

/** The names of the classes, to go below a row of scores. */
function makeNames() {
  const isLong = model.classes.some((name) => name.length > 2);
  return element("div", { className: isLong ? "draw-names long" : "draw-names" },
    ...model.classes.map((name) => element("span", { textContent: name })));
}

/** The colors of a layer's bytes: zero is neutral, and the largest absolute value is full. */
function colorsOf({ low, high }) {
  const signed = signedPalette();
  const limit = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return signed.map((_, level) => {
    const value = low + (level / 255) * (high - low);
    return signed[Math.round(127.5 + 127.5 * (value / limit))];
  });
}

/* ---------- The graph ---------- */

function toggleGraph() {
  const frame = part("graph");
  frame.hidden = !frame.hidden;
  part("graph-button").setAttribute("aria-expanded", String(!frame.hidden));
  part("graph-button").textContent = frame.hidden ? "Show the graph" : "Hide the graph";
  followGraph();
}

/** Load the graph of the drawing, or of an empty image, unless it is shown already. */
function followGraph() {
  const frame = part("graph");
  if (frame.hidden) return;
  const blank = btoa("\0".repeat(model.side ** 2));
  const image = (shown?.image ?? blank).replaceAll("+", "-").replaceAll("/", "_");
  const address = `/graph?${new URLSearchParams({ model: model.name, image })}#embedded`;
  if (frame.dataset.address === address) return;
  frame.dataset.address = address;
  // Replacing the location adds no entry to the history, as setting `src` would.
  frame.contentWindow.location.replace(address);
}

/* ---------- Corrections ---------- */

function pick(place) {
  label = place;
  for (const [at, button] of [...part("digits").children].entries()) {
    button.setAttribute("aria-pressed", String(at === place));
  }
  updateSave();
}

function updateSave() {
  const isPossible = Boolean(model?.corrections);
  part("labels").hidden = part("save").hidden = !isPossible;
  part("correct-reason").textContent = isPossible
    ? "Choose the correct digit to save the drawing as training data."
    : "Corrections are saved only for models of 28×28 digits. Choose another model to save one.";
  disable(part("save"), label === null || !shown || shown.empty, part("digits").firstChild);
}

async function saveCorrection() {
  const name = model.classes[label];
  const count = await updateCorrections({ json: { image: shown.image, label } });
  if (!count) return;
  part("saved").textContent = `Saved as ${name} (${count} in all).`;
  pick(null);
}

async function removeCorrection() {
  const hadFocus = part("remove") === document.activeElement;
  const count = await updateCorrections({ method: "DELETE" });
  if (count !== 0 || !hadFocus) return;
  const next = [part("save"), part("digits").firstChild, part("model")];
  next.find((one) => !one.disabled && one.checkVisibility()).focus({ preventScroll: true });
}

/** Send a request about corrections and show their number; return it, or null after an error. */
async function updateCorrections(options) {
  try {
    const { count } = await api("/api/corrections", options);
    part("saved").textContent = count ? `${countText(count, "correction")} saved.` : "";
    part("remove").hidden = part("train-row").hidden = !count;
    showError(part("correct-error"));
    return count;
  } catch (error) {
    showError(part("correct-error"), error);
    return null;
  }
}

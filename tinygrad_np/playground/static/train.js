/** The Train tab: a form for a new run, and the current or most recent run. */

import { lineChart } from "./chart.js";
import {
  api, bytesOf, channels, color, countText, drawPixels, element, find, numberText, onSchemeChange,
  percentText, sharpContext, showError, timeText,
} from "./common.js";
import {
  loadChoices, offerUnfinished, prepareCorrections, resume, setBusy, startForm,
} from "./train_form.js";

const BUSY = ["loading", "running", "paused", "stopping"];
const BADGES = { finished: "good", failed: "bad", disconnected: "bad", idle: "", stopped: "" };
const SERIES = ["points", "validation"];
const RETRY = 3000;
const WELCOME = "Press Start: with the default settings, a run takes a few seconds.";

let state = { status: "idle", points: [], validation: [] };
let charts = {};
let isDrawing = false;
let isLost = false; // the connection

const isBusy = () => BUSY.includes(state.status);
const isOver = () => ["finished", "stopped", "failed"].includes(state.status);
const rate = (value) => (value === null || value === undefined ? "–" : numberText(value, 3));
const grouped = (count) => count.toLocaleString("en");

/* ---------- Events ---------- */

function showConnection(isOpen) {
  isLost = !isOpen;
  find("train-lost").hidden = isOpen;
  showRun();
}

function connect() {
  const source = new EventSource("/api/training/events");
  source.addEventListener("open", () => showConnection(true));
  source.addEventListener("snapshot", (event) => take(JSON.parse(event.data), true));
  source.addEventListener("update", (event) => take(JSON.parse(event.data), false));
  source.addEventListener("error", () => {
    showConnection(false);
    // The browser reconnects automatically, unless the server refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}

/** Take a snapshot, or the values that have changed and the entries that series have gained. */
function take(news, isSnapshot) {
  const { status: before, message } = state;
  const grown = SERIES.map((name) => [
    name, [...((!isSnapshot && state[name]) || []), ...(news[name] ?? [])],
  ]);
  state = { ...(isSnapshot ? {} : state), ...news, ...Object.fromEntries(grown) };
  // A short run may be over before the first event about it: then only a snapshot tells.
  if (isSnapshot || before !== state.status) changeStatus(isSnapshot);
  if (isSnapshot && state.status === "idle") offerUnfinished();
  const isNew = isBusy() && !BUSY.includes(before);
  if (isNew || (message || "") !== (state.message || "")) {
    showError(find("train-message"), state.message ? new Error(state.message) : null);
  }
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    show();
  });
}

function changeStatus(isSnapshot) {
  setBusy(isBusy());
  if (isOver()) {
    document.dispatchEvent(new CustomEvent("models-changed"));
    loadChoices();
  } else if (isSnapshot && isBusy()) {
    showError(find("train-error"));
  }
}

/* ---------- The run ---------- */

function show() {
  showRun();
  showResult();
  showCurves();
  showSamples();
  showConfusion();
  showPlane();
}

function showRun() {
  const { name, config } = state;
  const status = isLost ? "disconnected" : state.status;
  find("train-name").textContent = name ?? "No run yet";
  const badge = find("train-status");
  if (badge.textContent !== status) badge.textContent = status;
  badge.className = `badge ${BADGES[status] ?? "busy"}`;
  const pause = find("train-pause");
  const isHeld = document.activeElement === pause;
  pause.disabled = !["running", "paused"].includes(status);
  if (isHeld && pause.disabled) find("train-name").focus({ preventScroll: true });
  pause.textContent = state.status === "paused" ? "Continue" : "Pause";
  find("train-stop").disabled = isLost || !isBusy() || status === "stopping";
  const progress = find("train-progress");
  progress.max = state.steps ?? 1;
  progress.value = state.step ?? 0;
  find("train-summary").textContent = !config ? WELCOME : `${config.model} on ${config.data}` +
    `${state.parameters ? `, ${countText(state.parameters, "parameter")}` : ""}; ` +
    `${config.optimizer}, learning rate ${numberText(config.lr)} (${config.schedule}), ` +
    `batch size ${config.batch_size}`;
  const speed = state.samples_per_second;
  const isKnown = state.steps !== undefined;
  const facts = [
    ["Epoch", isKnown ? `${grouped(state.epoch ?? 0)} of ${grouped(state.epochs)}` : "–"],
    ["Step", isKnown ? `${grouped(state.step)} of ${grouped(state.steps)}` : "–"],
    ["Samples per second", speed ? grouped(Math.round(speed)) : "–"],
    ["Time left", !isLost && isBusy() && typeof state.seconds_left === "number"
      ? timeText(state.seconds_left) : "–"],
    ["Learning rate", rate(state.lr)],
    ["Training loss", rate(state.points.at(-1)?.[1])],
  ];
  find("train-facts").replaceChildren(...facts.map(([title, value]) => element("div", {},
    element("dt", { textContent: title }), element("dd", { textContent: value }))));
}

function showResult() {
  const { status, test_accuracy: accuracy } = state;
  // From the start, so that nothing below moves at the end.
  find("train-result").hidden = status === "failed";
  const hasResult = state.has_weights && ["finished", "stopped"].includes(status);
  find("train-after").style.visibility = hasResult ? "" : "hidden";
  let [score, note] = ["–", "Test accuracy, at the end"];
  if (hasResult && typeof accuracy === "number") {
    score = percentText(accuracy);
    note = `correct on ${state.test_samples} test ${state.plane ? "points" : "images"}`;
  } else if (hasResult) {
    note = "Stopped before the end.";
  }
  find("train-score").replaceChildren(element("p", { className: "big", textContent: score }),
    element("p", { className: "note", textContent: note }));
  if (!state.name) return;
  find("train-use").hidden = Boolean(state.plane);
  find("train-weights").href = `/runs/${encodeURIComponent(state.name)}/model.safetensors`;
  const isStopped = status === "stopped";
  find("train-resume").hidden = !isStopped && !state.can_extend;
  find("train-resume").textContent = isStopped ? "Resume"
    : `Train ${countText(state.config.epochs, "more epoch")}`;
  find("train-command").textContent = commandLine(isStopped);
}

/** The command that resumes, extends or evaluates this run. */
function commandLine(isStopped) {
  if (isStopped) return state.commands.resume;
  if (!state.can_extend) return state.commands.evaluate;
  return `${state.commands.resume} --epochs ${2 * state.config.epochs}`;
}

function showCurves() {
  const { points, validation, steps } = state;
  const line = (column) => [
    { name: "training", className: "training", points: points.map((one) => [one[0], one[column]]) },
    { name: "validation", className: "validation",
      points: validation.map((one) => [one[0], one[column]]) },
  ];
  charts.loss(line(1), steps ?? 1, isOver());
  charts.accuracy(line(2), steps ?? 1, isOver());
}

/* ---------- Test images ---------- */

function showSamples() {
  const { images, predictions, classes } = state;
  find("train-samples").hidden = !images;
  if (!images || !predictions) return;
  const box = find("train-digits");
  if (box.dataset.run !== state.name) {
    box.dataset.run = state.name;
    box.replaceChildren(...images.pixels.map((pixels) => {
      const canvas = element("canvas", { className: "pixels" });
      drawPixels(canvas, bytesOf(pixels), images.height, images.width);
      return element("figure", {}, canvas, element("p", { className: "read" }),
        element("progress", { max: 1, "aria-label": "probability" }),
        element("figcaption"));
    }));
  }
  let right = 0;
  predictions.forEach(([guess, probability], place) => {
    const figure = box.children[place];
    const truth = images.labels[place];
    const isRight = guess === truth && probability !== null;
    right += isRight;
    figure.className = isRight ? "" : "wrong";
    const read = probability === null ? "–" : classes[guess];
    figure.children[1].textContent = `${read} ${isRight ? "✓" : "✗"}`;
    figure.children[2].value = probability ?? 0;
    figure.children[3].textContent = isRight ? percentText(probability ?? 0, 0)
      : `is ${classes[truth]}`;
  });
  const isFinite = predictions.every(([, probability]) => probability !== null);
  find("train-right").textContent = isFinite
    ? `${right} of ${predictions.length} correct. Below each image: ` +
      "the class that the model predicts now, and its probability."
    : "The outputs are not finite.";
}

function repaintSamples() {
  if (state.images) {
    find("train-digits").dataset.run = "";
    showSamples();
  }
}

/* ---------- Confusion matrix ---------- */

function showConfusion() {
  const { confusion, classes } = state;
  find("train-confusion").hidden = !confusion;
  if (!confusion) return;
  const { counts, epoch } = confusion;
  const isLong = (name) => name.length > 6 && classes.length > 4;
  const short = classes.map((name) => (isLong(name) ? `${name.slice(0, 5)}…` : name));
  const table = find("train-matrix");
  const heading = element("tr", {}, element("th", { textContent: "true \\ predicted", scope: "col" }),
    ...classes.map((name, i) => element("th", { textContent: short[i], title: name, scope: "col" })));
  const rows = counts.map((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0) || 1;
    return element("tr", {},
      element("th", { textContent: short[truth], title: classes[truth], scope: "row" }),
      ...row.map((count, guess) => cell(count, count / total, truth === guess)));
  });
  table.replaceChildren(heading, ...rows);
  const all = counts.flat().reduce((sum, count) => sum + count, 0);
  const right = counts.reduce((sum, row, i) => sum + row[i], 0);
  let worst = [0, 0, 0];
  counts.forEach((row, truth) => row.forEach((count, guess) => {
    if (truth !== guess && count > worst[0]) worst = [count, truth, guess];
  }));
  const noun = state.plane ? "points" : "images";
  find("train-confused").textContent = `After epoch ${epoch}: ${right} of ${all} ` +
    `${state.evaluated_on} ${noun} correct.` + (worst[0] ? " Most frequent mistake: " +
    `${classes[worst[1]]} read as ${classes[worst[2]]} (${countText(worst[0], "time")}).` : "");
}

/** A cell in the color of correct or wrong answers, stronger for a larger share of its row. */
function cell(count, part, isRight) {
  const made = element("td", { textContent: count || "·" });
  if (count) {
    // At most half of the color: the number stays readable on it.
    const strength = Math.round(12 + 38 * Math.sqrt(part));
    made.style.background =
      `color-mix(in srgb, var(${isRight ? "--low" : "--high"}) ${strength}%, var(--zero))`;
    made.style.color = "var(--text)";
    made.style.fontWeight = isRight ? "normal" : "bold";
  }
  return made;
}

/* ---------- Points in the plane ---------- */

const CLASS_COLORS = ["--low", "--high"];
const GRAYS = Array.from({ length: 256 }, (_, level) => [level, level, level]);

/** Draw the mark of a class: a disk for the first, a diamond for the second. */
function mark(context, x, y, label, size) {
  context.beginPath();
  if (label === 0) {
    context.arc(x, y, size, 0, 2 * Math.PI);
  } else {
    const far = size * 1.25;
    context.moveTo(x, y - far);
    for (const [dx, dy] of [[far, 0], [0, far], [-far, 0]]) context.lineTo(x + dx, y + dy);
    context.closePath();
  }
  context.fillStyle = color(CLASS_COLORS[label]);
  context.strokeStyle = color("--page");
  context.fill();
  context.stroke();
}

function showPlane() {
  const { plane, grid } = state;
  find("train-plane").hidden = !plane;
  find("train-live").classList.toggle("points", Boolean(plane));
  if (!plane) return;
  const canvas = find("train-canvas");
  const context = sharpContext(canvas);
  const size = canvas.getBoundingClientRect().width;
  if (!size) return;
  if (grid) context.drawImage(background(plane.side, grid), 0, 0, size, size);
  context.lineWidth = 1;
  const radius = Math.max(2.4, size / 170);
  for (const [x, y, label] of plane.points) {
    const across = ((x - plane.left) / plane.size) * size;
    const down = ((plane.top - y) / plane.size) * size;
    mark(context, across, down, label, radius);
  }
  showLegend();
  const accuracy = state.points.at(-1)?.[2];
  canvas.setAttribute("aria-label", "Decision boundary over the training points" +
    (typeof accuracy === "number" ? `; training accuracy ${percentText(accuracy)}` : ""));
}

/** The probability of the second class as a picture: interpolated first, then colored. */
function background(side, grid) {
  const small = element("canvas");
  drawPixels(small, bytesOf(grid), side, side, GRAYS);
  const width = 5 * side;
  const large = element("canvas", { width, height: width });
  const context = large.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, width, width);
  const picture = context.getImageData(0, 0, width, width);
  const zero = channels("--zero");
  const ends = CLASS_COLORS.map(channels);
  const colors = GRAYS.map(([level]) => {
    const odds = (level / 255 - 0.5) * 2;
    const end = ends[Number(odds > 0)];
    return zero.map((value, i) => value + 0.62 * Math.abs(odds) * (end[i] - value));
  });
  for (let place = 0; place < picture.data.length; place += 4) {
    const mixed = colors[picture.data[place]];
    for (let i = 0; i < 3; i++) picture.data[place + i] = mixed[i];
  }
  context.putImageData(picture, 0, 0);
  return large;
}

function showLegend() {
  const box = find("train-legend");
  if (box.dataset.run === state.name) return;
  box.dataset.run = state.name;
  box.replaceChildren(...state.classes.map((name, label) => {
    const canvas = element("canvas", { className: "train-mark", width: 28, height: 28 });
    mark(canvas.getContext("2d"), 14, 14, label, 9);
    return element("span", {}, canvas, ` ${name}`);
  }), element("span", { textContent: "Where the color fades, both classes are equally likely." }));
}

/* ---------- Buttons ---------- */

async function ask(action) {
  showError(find("train-message"));
  try {
    await api(`/api/training/${action}`, { method: "POST" });
  } catch (error) {
    showError(find("train-message"), error);
  }
}

function startButtons() {
  find("train-pause").addEventListener("click", () =>
    ask(state.status === "paused" ? "continue" : "pause"));
  find("train-stop").addEventListener("click", () => {
    find("train-name").focus({ preventScroll: true }); // the button is disabled next
    ask("stop");
  });
  find("train-use").addEventListener("click", () => document.dispatchEvent(
    new CustomEvent("use-model", { detail: { name: `run/${state.name}` } })));
  find("train-resume").addEventListener("click", () => resume(state.name,
    state.status === "stopped" ? 0 : 2 * state.config.epochs, find("train-message")));
  find("train-copy").addEventListener("click", async (event) => {
    await navigator.clipboard?.writeText(find("train-command").textContent);
    event.target.textContent = "Copied";
  });
}

/** Start the tab; called once, when it is first shown. */
export function start() {
  document.addEventListener("train-corrections", (event) =>
    prepareCorrections(event.detail.model));
  charts = {
    loss: lineChart(find("train-loss"), { title: "Loss", xTitle: "step" }),
    accuracy: lineChart(find("train-accuracy"), {
      title: "Accuracy", xTitle: "step", range: [0, 1],
      format: (value, digits) => percentText(value, digits === 3 ? 0 : 1),
    }),
  };
  show();
  startButtons();
  startForm();
  connect();
  // A page restored from the back/forward cache has lost its connection.
  addEventListener("pageshow", (event) => event.persisted && connect());
  onSchemeChange(() => {
    find("train-legend").dataset.run = "";
    repaintSamples();
    show();
  });
  new ResizeObserver(() => state.plane && showPlane()).observe(find("train-plane"));
}

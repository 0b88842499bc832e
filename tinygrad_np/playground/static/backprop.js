/** The Backprop tab: an expression, its variables with their gradients, and its graph. */

import { RETRY, api, debounce, element, find, latest, numberText, showError } from "./common.js";

const EXAMPLES = [
  ["Square of a tanh", "((a*b + c).tanh())**2", { a: 2, b: -0.5, c: 1.5 }],
  ["Neuron", "z = w1*x1 + w2*x2 + b\ntanh(z)", { w1: -3, x1: 2, w2: 1, x2: 0.5, b: 6 }],
  [
    "Sigmoid and cross-entropy",
    "p = sigmoid(w*x + b)\n-(t*log(p) + (1 - t)*log(1 - p))",
    { w: 1.5, x: 2, b: -1, t: 1 },
  ],
  ["A variable used twice", "x*x + x", { x: 3 }],
  ["Vanishing gradient", "sigmoid(sigmoid(sigmoid(sigmoid(x))))", { x: 2 }],
  ["Inactive ReLU", "relu(w*x + b) + x", { w: -1, x: 2, b: 0.5 }],
  ["Larger of two", "maximum(a*b, a + b)", { a: 3, b: 0.5 }],
  ["Overflow", "log(1 + exp(x))", { x: 800 }],
  ["No slope at 0", "sqrt(x*x)", { x: 0 }],
];
const LIMIT = 1e6;

/** A number of an answer, in which "nan", "inf" and "-inf" are strings, as JSON has none of them. */
const text = (value) =>
  typeof value === "string" ? value.replace("-", "−") : numberText(value);
const isNumber = (value) => typeof value === "number";

let values = {};
let last = null; // the last good answer, with its expression and values
let loaded = null; // the answer that the frame was loaded for
let isLoading = false;
let edits = 0; // counts the edits of the expression and the values
let answered = 0; // the edits that the last answer, or error, belongs to

export function start() {
  const choice = find("bp-example");
  choice.append(element("option", { value: "", hidden: true }, "Custom"));
  EXAMPLES.forEach(([title], i) => choice.append(element("option", { value: i }, title)));
  choice.addEventListener("change", () => useExample(choice.value));
  const askSoon = debounce(ask, 250);
  find("bp-expression").addEventListener("input", () => {
    choice.value = "";
    edits += 1;
    showBusy();
    askSoon();
  });
  find("bp-frame").addEventListener("load", showLoaded);
  choice.value = 0;
  useExample(0);
}

function useExample(place) {
  const [, expression, given] = EXAMPLES[place];
  find("bp-expression").value = expression;
  values = { ...values, ...given };
  refresh();
}

/** Follow an edit. */
function refresh() {
  edits += 1;
  showBusy();
  ask();
}

/** Ask for the answer to what is typed. */
const ask = latest(async () => {
  const own = edits;
  const asked = { expression: find("bp-expression").value, values: { ...values } };
  try {
    const answer = await api("/api/backprop", { json: asked });
    last = { ...answer, ...asked };
    show();
    showProblem(null);
  } catch (error) {
    showProblem(error, asked.expression);
    if (error.status === 0) askAgain();
  }
  answered = own;
  showBusy();
});
const askAgain = debounce(ask, RETRY);

/** Say whether the page still shows an older expression or value. */
function showBusy() {
  find("backprop").ariaBusy = answered !== edits || isLoading;
}

/** Show an error under the expression, with a mark under the column that it names. */
function showProblem(error, expression = "") {
  const box = find("bp-error");
  const place = error?.message.match(/ at (?:line (\d+), )?column (\d+)\./);
  const isOlder = Boolean(error && last);
  find("backprop").classList.toggle("stale", isOlder);
  find("bp-expression").setAttribute("aria-invalid", String(error?.status === 400));
  box.hidden = !error;
  if (!error) return box.replaceChildren();
  const message = error.message.replace(/^expression: e/, "E");
  const note = isOlder ? " The graph shows the last valid expression." : "";
  box.replaceChildren(element("span", {}, message + note));
  if (place) {
    const lines = expression.split("\n");
    // Without a line number, the text has one line that is not empty.
    const line = place[1] ? lines[place[1] - 1] : lines.find((one) => one.trim()) ?? "";
    const mark = " ".repeat(place[2] - 1) + "^";
    box.append(element("pre", { "aria-hidden": "true" }, `${line}\n${mark}`));
  }
}

function show() {
  const { result, messages, variables, tape } = last;
  find("bp-result-name").textContent = `${result.name || "Result"} =`;
  find("bp-result-value").textContent = text(result.value);
  speak();
  const box = find("bp-messages");
  // Unchanged messages are left alone, so that screen readers do not repeat them.
  if ([...box.children].map((one) => one.textContent).join() !== messages.join()) {
    box.replaceChildren(...messages.map((one) => element("p", { className: "warning" }, one)));
  }
  showVariables(variables);
  find("bp-tape").replaceChildren(...tape.map(tapeRow));
  showGraph();
}

/** Tell screen readers the result, once it does not change any more. */
const speak = debounce(() => {
  find("bp-spoken").textContent = find("bp-result").textContent.replace(/\s+/g, " ");
}, 500);

/** Show the variables; keep the controls while the names are the same, so none loses focus. */
function showVariables(variables) {
  const list = find("bp-variables");
  const names = variables.map((one) => one.name).join(" ");
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...variables.map((one) => variableRow(one.name)));
  }
  const finite = variables.map((one) => one.gradient).filter(isNumber);
  const largest = Math.max(0, ...finite.map(Math.abs));
  variables.forEach((one, i) => showVariable(list.children[i], one, largest));
}

function variableRow(name) {
  const id = `bp-value-${name}`;
  const slider = element("input", {
    type: "range", step: 0.01, min: -5, max: 5, "aria-label": `${name}, slider`,
  });
  const number = element("input", { id, type: "number", step: "any", min: -LIMIT, max: LIMIT,
    "aria-describedby": `${id}-error` });
  const error = element("p", { id: `${id}-error`, className: "alert", role: "alert", hidden: true });
  const use = (source) => {
    const isValid = source.value !== "" && source.validity.valid;
    showValidity(number, isValid);
    if (!isValid) return;
    values[name] = Number(source.value);
    if (source === slider) number.value = slider.value;
    refresh();
  };
  slider.addEventListener("input", () => use(slider));
  number.addEventListener("input", () => use(number));
  const bar = element("span", { className: "bp-bar", "aria-hidden": "true" }, element("i"));
  const slopes = element("div", { className: "slopes" },
    element("span", { className: "gradient" }), bar, element("span", { className: "nudged" }));
  return element("div", { className: "bp-variable" },
    element("label", { for: id, className: "code" }, name), slider, number, error,
    slopes);
}

/** Mark the control of a value as valid, or say what is allowed. */
function showValidity(number, isValid) {
  number.setAttribute("aria-invalid", String(!isValid));
  const allowed = `from −${LIMIT.toLocaleString("en")} to ${LIMIT.toLocaleString("en")}`;
  const problem = new Error(`${number.labels[0].textContent}: enter a number ${allowed}.`);
  showError(find(`${number.id}-error`), isValid ? null : problem);
}

function showVariable(row, { name, value, gradient, slope }, largest) {
  const [slider, number] = row.querySelectorAll("input");
  values[name] ??= value;
  // What is being typed stays as it is, such as "1." on the way to 1.5.
  if (number !== document.activeElement) {
    number.value = value;
    showValidity(number, true);
  }
  const reach = Math.max(5, Math.abs(value));
  if (slider !== document.activeElement) Object.assign(slider, { min: -reach, max: reach, value });
  row.querySelector(".gradient").textContent = `grad ${text(gradient)}`;
  row.querySelector(".nudged").textContent = `nudged ${text(slope)}`;
  const bar = row.querySelector("i");
  const part = largest && isNumber(gradient) ? 50 * (gradient / largest) : 0;
  bar.classList.toggle("negative", part < 0);
  bar.style.left = `${50 + Math.min(part, 0)}%`;
  bar.style.width = `${Math.abs(part)}%`;
}

function tapeRow({ name, operation, value, derivatives, gradient }) {
  const local = derivatives.map((one) => `∂/∂${one.input} = ${text(one.value)}`);
  const cell = (content, className = "") => element("td", { className }, content);
  return element("tr", {}, element("th", { scope: "row" }, name), cell(operation, "code"),
    cell(text(value), "number"), cell(local.join(", ")),
    cell(text(gradient), "number"));
}

/* The graph */

/** Update the graph in place, or load another one if its structure differs. */
function showGraph() {
  const inside = find("bp-frame").contentWindow;
  if (isLoading || (loaded && inside.update(last.content))) return;
  isLoading = true;
  loaded = last;
  const { expression } = last;
  const query = new URLSearchParams({ expression, values: JSON.stringify(last.values) });
  // Unlike setting `src`, this adds no entry to the history.
  inside.location.replace(`/backprop?${query}#embedded`);
}

function showLoaded() {
  if (!isLoading) return; // the empty page at the start
  isLoading = false;
  const shown = loaded;
  // Without an answer, the frame shows a page of the browser.
  if (!find("bp-frame").contentDocument) {
    loaded = null;
    setTimeout(showGraph, RETRY);
  } else if (shown !== last) showGraph();
  showBusy();
}

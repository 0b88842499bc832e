/** The settings of a new run, and the choice of an earlier run to resume. */

import { api, countText, element, find, numberText, showError } from "./common.js";

const MAIN = ["optimizer", "lr", "schedule", "batch_size", "epochs", "train_samples"];
const AUGMENTATION = ["shift", "rotation", "scaling", "noise", "erasing", "flip"];
const MORE = ["weight_decay", "momentum", "seed"];
const WITH_CORRECTIONS = ["digits", "mnist"];
const FINE_TUNING = { epochs: 3, lr: 0.0005, schedule: "cosine" };

let choices = null;
let loading = null;

const control = (name) => find(`train-${name}`);
const dataset = () => choices.data.find((one) => one.name === control("data").value);
const model = () => choices.models.find((one) => one.name === control("model").value);

/** Put a label above a control, and below it the help, if any, and room for its error. */
function field(name, title, input, help) {
  Object.assign(input, { id: `train-${name}`, name });
  input.setAttribute("aria-describedby", `train-${name}-error train-${name}-help`);
  const below = [element("p", { className: "error", id: `train-${name}-error`, hidden: true })];
  if (help) {
    const textContent = `${help[0].toUpperCase()}${help.slice(1)}.`;
    below.unshift(element("p", { className: "note", id: `train-${name}-help`, textContent }));
  }
  const label = element("label", { htmlFor: input.id, textContent: title });
  if (input.type !== "checkbox") {
    return element("div", { className: "field" }, label, input, ...below);
  }
  return element("div", {}, element("div", { className: "check" }, input, label), ...below);
}

/** The field of a setting of RunConfig, by its default, choices and limits. */
function setting(name) {
  const { title, unit, help, default: usual, choices: options, least, most } = choices.fields[name];
  let input;
  if (options) {
    input = element("select", {}, ...options.map((one) => element("option", { textContent: one })));
    input.value = usual;
  } else if (typeof usual === "boolean") {
    input = element("input", { type: "checkbox", checked: usual });
  } else {
    input = element("input", { type: "number", step: "any", value: usual ?? "", inputMode: "decimal" });
    if (least !== undefined) input.min = least;
    if (most !== undefined) input.max = most;
    if (name === "train_samples") input.placeholder = "all";
  }
  return field(name, unit ? `${title} (${unit})` : title, input, help);
}

function build() {
  const data = element("select", {}, ...choices.data.map(({ name, title }) =>
    element("option", { value: name, textContent: title })));
  const folded = (title, names, id) => element("details", { id },
    element("summary", { textContent: title }),
    element("div", { className: "stack" }, ...names.map(setting)));
  find("train-fields").replaceChildren(
    field("data", choices.fields.data.title, data),
    field("model", choices.fields.model.title, element("select")),
    field("hidden", "Hidden layers", element("input", { type: "text", autocomplete: "off" }),
      "units per hidden layer, separated by commas"),
    element("div", { className: "fields" }, ...MAIN.map(setting)),
    field("weights_of", "Start from", element("select")),
    field("corrections", "", element("input", { type: "checkbox" })),
    folded("Augmentation", AUGMENTATION, "train-augmentation"),
    folded("More settings", MORE, "train-more"),
  );
  data.addEventListener("change", () => {
    applyPreset();
    clearErrors();
  });
  control("model").addEventListener("change", showFitting);
  control("weights_of").addEventListener("change", showHidden);
  control("optimizer").addEventListener("change", () => {
    // The rate of the preset is meant for the optimizer of the preset; a typed one is kept.
    if (control("lr").value === String(dataset().preset.lr)) control("lr").value = "";
    showRate();
  });
}

const showRate = () => {
  control("lr").placeholder = numberText(choices.rates[control("optimizer").value]);
};

const setValue = (name, value) => {
  if (control(name).type === "checkbox") control(name).checked = value;
  else control(name).value = value ?? "";
};

/** Fill in settings that give a good result on this dataset within seconds. */
function applyPreset() {
  const { name: data, preset } = dataset();
  const fitting = choices.models.filter((one) => one.data.includes(data));
  control("model").replaceChildren(...fitting.map(({ name }) =>
    element("option", { value: name, textContent: name })));
  for (const name of [...MAIN, ...AUGMENTATION, ...MORE]) {
    setValue(name, preset[name] ?? choices.fields[name].default);
  }
  setValue("model", preset.model);
  control("hidden").disabled = false;
  setValue("hidden", (preset.hidden ?? [128]).join(", "));
  showFitting();
}

/** Show the fields that apply to the data and the model. */
function showFitting() {
  const { name, kind, title, is_here: isHere, megabytes } = dataset();
  const isPoints = kind === "points";
  const row = (field) => control(field).closest("#train-fields > div");
  row("hidden").hidden = model().name !== "MLP";
  find("train-augmentation").hidden = isPoints;
  if (isPoints) for (const one of AUGMENTATION) setValue(one, choices.fields[one].default);
  row("corrections").hidden = !choices.corrections || !WITH_CORRECTIONS.includes(name);
  if (row("corrections").hidden) setValue("corrections", false);
  const fitting = choices.weights.filter((one) =>
    one.model === model().name && (one.kind === kind));
  const before = control("weights_of").value;
  control("weights_of").replaceChildren(
    element("option", { value: "", textContent: "random weights" }),
    ...fitting.map((one) => element("option", { value: one.name,
      textContent: `weights of ${one.title}` })),
  );
  control("weights_of").value = fitting.some((one) => one.name === before) ? before : "";
  row("weights_of").hidden = !fitting.length;
  showHidden();
  const note = find("train-download");
  note.hidden = isHere;
  note.textContent = isHere ? "" : `${title.split(" (")[0]} is not on this computer. ` +
    `Starting the run downloads about ${megabytes} MB.`;
  showRate();
}

/** Weights fix the sizes of the hidden layers; without them, show those that were filled in. */
function showHidden() {
  const input = control("hidden");
  const weights = choices.weights.find((one) => one.name === control("weights_of").value);
  if (!input.disabled) input.dataset.own = input.value;
  input.disabled = Boolean(weights);
  input.value = weights ? (weights.hidden ?? []).join(", ") : input.dataset.own;
}

function clearErrors() {
  showError(find("train-error"));
  for (const input of find("train-fields").querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    find(`${input.id}-error`).hidden = true;
  }
}

/** Show an error at its field, or else below the form. */
function showAt(name, message) {
  const input = name && control(name);
  const shown = input && find(`${input.id}-error`);
  if (!shown || input.closest("[hidden]")) {
    showError(find("train-error"), new Error(message));
    find("train-start").focus();
    return;
  }
  const title = `${choices.fields[name]?.title ?? name}: `;
  const text = message.startsWith(title) ? message.slice(title.length) : message;
  input.closest("details")?.setAttribute("open", "");
  input.setAttribute("aria-invalid", "true");
  shown.textContent = text[0].toUpperCase() + text.slice(1);
  shown.hidden = false;
  input.focus();
}

/** The settings of the form; empty fields are left out. Throws at a field without a number. */
function values() {
  const found = { data: control("data").value, model: control("model").value };
  for (const name of [...MAIN, ...AUGMENTATION, ...MORE]) {
    const input = control(name);
    if (input.type === "checkbox") found[name] = input.checked;
    else if (input.tagName === "SELECT") found[name] = input.value;
    else if (input.validity.badInput) throw Object.assign(new Error("Enter a number."), { name });
    else if (input.value !== "") found[name] = Number(input.value);
  }
  if (model().name === "MLP" && !control("hidden").disabled) {
    const sizes = control("hidden").value.split(/[\s,]+/).filter(Boolean).map(Number);
    if (sizes.some(Number.isNaN)) {
      throw Object.assign(new Error("Enter numbers separated by commas, such as 16, 16."),
        { name: "hidden" });
    }
    found.hidden = sizes;
  }
  if (control("corrections").checked) found.corrections = true;
  if (control("weights_of").value) found.weights_of = control("weights_of").value;
  return found;
}

async function startRun(event) {
  event.preventDefault();
  if (!choices) return;
  clearErrors();
  let config;
  try {
    config = values();
  } catch (error) {
    showAt(error.name, error.message);
    return;
  }
  const button = find("train-start");
  button.disabled = true;
  try {
    await api("/api/training", { json: { config } });
    showRunCard();
  } catch (error) {
    button.disabled = false;
    showAt(error.answer?.field, error.message);
  }
}

/** Move to the run, which is far below the form on a narrow page. */
function showRunCard() {
  const card = find("train-name").closest("section");
  if (card.getBoundingClientRect().top > innerHeight / 2) card.scrollIntoView();
  find("train-name").focus({ preventScroll: true });
}

/** Resume a run, with more epochs if given; errors go to a box. */
export async function resume(name, epochs, box) {
  showError(box);
  try {
    await api("/api/training", { json: { resume: name, ...(epochs ? { epochs } : {}) } });
    showRunCard();
  } catch (error) {
    showError(box, error);
  }
}

const isInterrupted = (run) => !run.is_finished && !run.has_diverged;

/** List the runs that can be resumed: first those that were interrupted, then the newest. */
function showEarlier() {
  const runs = choices.resumable.filter((one) => !one.is_finished || !one.fixes_length)
    .sort((a, b) => isInterrupted(b) - isInterrupted(a));
  find("train-earlier").hidden = !runs.length;
  find("train-run").replaceChildren(...runs.map((run) => {
    const note = run.has_diverged ? " (diverged)" : isInterrupted(run) ? " (not finished)" : "";
    return element("option", { value: run.name, textContent: run.name + note });
  }));
  find("train-earlier").querySelector("summary").textContent = "Resume an earlier run" +
    (runs.length && isInterrupted(runs[0]) ? `: ${runs[0].name} is not finished` : "");
  showEpochs();
}

function showEpochs() {
  const run = choices.resumable.find((one) => one.name === find("train-run").value);
  if (!run) return;
  const input = find("train-run-epochs");
  input.value = run.is_finished ? run.epochs * 2 : run.epochs;
  input.disabled = Boolean(run.fixes_length);
  find("train-run-note").textContent = run.fixes_length
    ? run.fixes_length : `Planned: ${countText(run.epochs, "epoch")}.`;
}

/** Unfold the choice of an earlier run if one was interrupted, perhaps with the server. */
export async function offerUnfinished() {
  await loading;
  if (choices?.resumable.some(isInterrupted)) {
    find("train-earlier").querySelector("details").open = true;
  }
}

/** Load the choices from the server; keep the values already entered. */
export function loadChoices() {
  loading = load();
  return loading;
}

async function load() {
  const isFirst = !choices;
  try {
    choices = await api("/api/training/choices");
  } catch (error) {
    showError(find("train-error"), error);
    return;
  }
  if (isFirst) {
    build();
    applyPreset();
  }
  const { corrections } = choices;
  find("train-corrections").labels[0].textContent =
    corrections === 1 ? "Add my correction" : `Add my ${countText(corrections, "correction")}`;
  showFitting();
  showEarlier();
}

/** Prepare a short run on the corrections, from the weights of the model that was corrected. */
export async function prepareCorrections(name) {
  await loadChoices();
  if (!choices) return;
  const weights = choices.weights.find((one) => one.name === name);
  const data = WITH_CORRECTIONS.includes(weights?.data) ? weights.data : WITH_CORRECTIONS[0];
  setValue("data", data);
  applyPreset();
  if (weights && choices.models.some((one) => one.name === weights.model)) {
    setValue("model", weights.model);
    showFitting();
    setValue("weights_of", name);
    showHidden();
    for (const [field, value] of Object.entries(FINE_TUNING)) setValue(field, value);
  }
  setValue("corrections", choices.corrections > 0);
  clearErrors();
  find("train-start").focus();
}

/** Say whether a new run may start now. */
export function setBusy(isBusy) {
  find("train-start").disabled = isBusy;
  find("train-run-resume").disabled = isBusy;
}

export function startForm() {
  find("train-form").addEventListener("submit", startRun);
  find("train-run").addEventListener("change", showEpochs);
  find("train-earlier").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = find("train-run-epochs");
    resume(find("train-run").value, input.disabled ? 0 : Number(input.value),
      find("train-run-error"));
  });
  loadChoices();
}

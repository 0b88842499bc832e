/** The tabs. A tab's module is started when the tab is first shown. */

import { find } from "./common.js";
import * as backprop from "./backprop.js";
import * as convolution from "./convolution.js";
import * as draw from "./draw.js";
import * as train from "./train.js";

const modules = { draw, train, convolution, backprop };
const names = Object.keys(modules);
const started = new Set();

/** Show a tab and remember it in the address, so that a reload and "back" return to it. */
function show(name) {
  for (const other of names) {
    const isShown = other === name;
    find(other).hidden = !isShown;
    find(`tab-${other}`).setAttribute("aria-selected", String(isShown));
    find(`tab-${other}`).tabIndex = isShown ? 0 : -1;
  }
  document.title = `${find(`tab-${name}`).textContent} – tinygrad_np playground`;
  start(name);
}

function start(name) {
  if (started.has(name)) return;
  started.add(name);
  modules[name].start(find(name));
}

const current = () => {
  const name = location.hash.slice(1);
  return names.includes(name) ? name : names[0];
};

/** Go to a tab, as if it had been clicked. */
function go(name) {
  // Assigning to location.hash would scroll to the panel.
  if (current() !== name) history.pushState(null, "", `#${name}`);
  show(name);
}

for (const [place, name] of names.entries()) {
  const tab = find(`tab-${name}`);
  tab.addEventListener("click", () => go(name));
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    const last = names.length - 1;
    const target = { Home: 0, End: last }[event.key] ??
      (event.key in steps ? (place + steps[event.key] + names.length) % names.length : undefined);
    if (target === undefined) return;
    event.preventDefault();
    go(names[target]);
    find(`tab-${names[target]}`).focus();
  });
}
addEventListener("popstate", () => {
  if (location.hash !== "#main") show(current());
});

// Requests of one tab to another. The target is started first, so that it hears the event too.
for (const [event, name] of [["use-model", "draw"], ["train-corrections", "train"]]) {
  document.addEventListener(event, () => {
    go(name);
    scrollTo(0, 0);
    find(`tab-${name}`).focus({ preventScroll: true });
  }, { capture: true });
}

show(current());

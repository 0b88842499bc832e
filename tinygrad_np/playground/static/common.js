/** Functions that several tabs use. */

/** Milliseconds until a request without an answer is sent again. */
export const RETRY = 2000;

export const find = (id) => document.getElementById(id);

/** An error with a message for the reader; `status` is 0 if the server did not respond. */
export class ApiError extends Error {
  constructor(message, status, answer = {}) {
    super(message);
    this.status = status;
    this.answer = answer;
  }
}

/**
 * Send a request and return the JSON of the answer.
 * `json` is an object to send, `body` a Blob; either makes the request a POST.
 */
export async function api(path, { json, body, method, signal } = {}) {
  const options = { method: method ?? (json || body ? "POST" : "GET"), signal };
  if (json) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json" };
  } else if (body) {
    options.body = body;
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The playground is not responding. Is it still running?", 0);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new ApiError(answer.error ?? `The playground answered with status ${response.status}.`,
      response.status, answer);
  }
  return answer;
}

/**
 * Show an error in a box with role="alert"; without an error, hide the box.
 * An unchanged box is left alone, so that screen readers do not repeat it.
 */
export function showError(box, error) {
  const text = error ? error.message : "";
  if (box.hidden === !error && box.textContent === text) return;
  box.hidden = !error;
  box.textContent = text;
}

/** Create an element with properties, attributes (names with "-" and "role") and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Return a function that runs `action` once, `milliseconds` after its last call. */
export function debounce(action, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), milliseconds);
  };
}

/**
 * Return a function that runs `action` at most once at a time, and again if called meanwhile.
 * `action` gets a function that returns whether it will run again.
 */
export function latest(action) {
  let isRunning = false;
  let isWanted = false;
  return async () => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    while (isWanted) {
      isWanted = false;
      await action(() => isWanted);
    }
    isRunning = false;
  };
}

/** A number with a few significant digits, with a real minus sign. */
export function numberText(value, digits = 4) {
  if (typeof value !== "number" || Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text = String(Number(value.toPrecision(digits)));
  if (size && (size >= 1e6 || size < 1e-4)) text = value.toExponential(digits - 1);
  return text.replaceAll("-", "−");
}

export const percentText = (value, digits = 1) => `${(100 * value).toFixed(digits)}%`;
export const countText = (count, noun) =>
  `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** 83 becomes "1:23". */
export function timeText(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  const rest = String(whole % 60).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** The bytes in a base64 text. */
export const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const schemeQuery = matchMedia("(prefers-color-scheme: dark)");
const motionQuery = matchMedia("(prefers-reduced-motion: reduce)");
export const reducesMotion = () => motionQuery.matches;

/** Run `action` whenever the color scheme changes, to redraw a canvas. */
export const onSchemeChange = (action) => schemeQuery.addEventListener("change", action);

/** The value of a CSS variable, such as "--accent". */
export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

/** Red, green and blue of a CSS color in hexadecimal. */
export function channels(name) {
  const hex = color(name).trim().slice(1);
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** Return a palette of 256 colors that pass through CSS variables at equal distances. */
export function palette(...names) {
  const stops = names.map(channels);
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1);
    const before = Math.min(Math.floor(place), stops.length - 2);
    const part = place - before;
    return stops[before].map((value, i) => Math.round(value + part * (stops[before + 1][i] - value)));
  });
}

/** Palettes in the colors of the scheme: from paper to ink, negative to positive, and heat. */
export const inkPalette = () => palette("--page", "--text");
export const signedPalette = () => palette("--low", "--zero", "--high");
export const heatPalette = () => palette("--zero", "--high");

/** Draw bytes (height * width, row by row) on a canvas, one pixel per byte. */
export function drawPixels(canvas, bytes, height, width, colors = inkPalette()) {
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height);
  bytes.forEach((level, place) => picture.data.set([...colors[level], 255], 4 * place));
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Give a canvas one pixel per device pixel and return its context, scaled to CSS pixels. */
export function sharpContext(canvas) {
  const ratio = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

/** The sheet to draw on: strokes and pictures, kept as a list that can be undone. */

import { color, sharpContext } from "./common.js";

const PICTURE_SIDE = 280; // pixels of the picture that is sent

export class Sheet {
  /** `change` is called after every change; `frame` is the element that takes dropped files. */
  constructor(canvas, frame, change) {
    this.canvas = canvas;
    this.change = change;
    this.width = 0.07; // of the brush, as a part of the side
    this.items = []; // strokes, pictures, and "clear"
    this.pointer = null;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#extend(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => {
        if (event.pointerId === this.pointer) this.pointer = null;
      });
    }
    canvas.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "z") {
        event.preventDefault();
        this.undo();
      }
    });
    takeDrops(frame, (file) => this.place(file));
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  /** The strokes or the picture on the sheet; earlier items are covered. */
  get visible() {
    return this.items.slice(this.items.findLastIndex((item) => !item.points || item.isFirst));
  }

  get isEmpty() {
    return !this.visible.some((item) => item.points || item.file);
  }

  get canUndo() {
    return this.items.length > 0;
  }

  undo() {
    this.pointer = null; // ends a stroke that is being drawn
    if (this.items.pop()) this.#update();
  }

  clear() {
    if (this.isEmpty) return;
    this.pointer = null;
    this.items.push({});
    this.#update();
  }

  /** Show a picture file instead of the strokes. */
  async place(file) {
    this.pointer = null;
    const item = { file };
    this.items.push(item);
    this.#update();
    // Without a bitmap, in a format that the browser cannot show, the server may still read it.
    item.bitmap = await createImageBitmap(file).catch(() => null);
    this.redraw();
  }

  /** Take a picture file off the sheet, without a trace for undo. */
  remove(file) {
    this.items = this.items.filter((item) => item.file !== file);
    this.#update();
  }

  /** The picture to send: the file, or a PNG of the strokes in black on white. */
  picture() {
    const [first] = this.visible;
    if (first.file) return first.file;
    const canvas = new OffscreenCanvas(PICTURE_SIDE, PICTURE_SIDE);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, PICTURE_SIDE, PICTURE_SIDE);
    drawStrokes(context, this.visible, PICTURE_SIDE, "#000");
    return canvas.convertToBlob();
  }

  redraw() {
    const { width } = this.canvas.getBoundingClientRect();
    if (!width) return; // the tab is hidden
    const context = sharpContext(this.canvas);
    const [first] = this.visible;
    if (first?.bitmap) drawPicture(context, first.bitmap, width);
    drawStrokes(context, this.visible, width, color("--text"));
  }

  #update() {
    this.redraw();
    this.change();
  }

  #begin(event) {
    if (this.pointer !== null || event.button !== 0) return;
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    const isFirst = !this.visible[0]?.points; // a stroke on a picture replaces it
    this.items.push({ points: [this.#place(event)], width: this.width, isFirst });
    this.#update();
  }

  #extend(event) {
    if (event.pointerId !== this.pointer) return;
    const moves = event.getCoalescedEvents();
    const { points } = this.items.at(-1);
    points.push(...(moves.length ? moves : [event]).map((move) => this.#place(move)));
    this.#update();
  }

  /** The place of a pointer, as parts of the side. */
  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }
}

/** Draw strokes as smooth curves: through the middles between points, bent by the points. */
function drawStrokes(context, items, side, ink) {
  context.strokeStyle = ink;
  context.lineCap = context.lineJoin = "round";
  for (const { points, width } of items) {
    if (!points) continue;
    const scaled = points.map(([x, y]) => [x * side, y * side]);
    context.lineWidth = width * side;
    context.beginPath();
    context.moveTo(...scaled[0]);
    for (const [place, [x, y]] of scaled.slice(1, -1).entries()) {
      const [nextX, nextY] = scaled[place + 2];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...scaled.at(-1)); // of a single point: a dot
    context.stroke();
  }
}

/** Draw a picture as large as it fits, in the middle. */
function drawPicture(context, bitmap, side) {
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
}

/** Call `take` with an image file that is dropped on an element. */
function takeDrops(target, take) {
  const mark = (isOver) => target.classList.toggle("target", isOver);
  target.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  target.addEventListener("dragleave", () => mark(false));
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

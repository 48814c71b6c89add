// The pad: shows strokes or an image, and takes strokes from a mouse, finger, pen or keyboard.

import { drawStroke } from "./strokes.js";

const STEP = 1 / 28; // of the keyboard's pen, as a share of the side
const FINE_STEP = STEP / 4;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  pen = { x: 0.5, y: 0.3, isDown: false }; // moved by the arrow keys
  stroke = null; // that is being drawn
  pointer = null; // that draws it
  heldArrows = new Set();

  // onBegin is called before each stroke, onChange after each change; brushWidth() is a share of the side.
  constructor(canvas, history, { canDraw, brushWidth, onBegin, onChange }) {
    Object.assign(this, { canvas, history, brushWidth, onBegin, onChange });
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    if (canDraw) {
      this.listenToPointers();
      this.listenToKeys();
    }
  }

  // Match the canvas to the pixels of the screen.
  fit() {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (side > 0 && side !== this.canvas.width) {
      this.canvas.width = this.canvas.height = side;
    }
    this.draw();
  }

  draw() {
    const { canvas, context, history } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const style = getComputedStyle(canvas);
    context.fillStyle = context.strokeStyle = style.color;
    if (history.image) this.drawImage(history.image.source);
    for (const stroke of history.strokes) drawStroke(context, stroke, canvas.width);
    if (canvas.matches(":focus-visible") && this.pointer === null) this.drawPen(style.getPropertyValue("--accent"));
  }

  // Show a whole image or video frame.
  drawImage(source) {
    const width = source.videoWidth ?? source.width, height = source.videoHeight ?? source.height;
    const scale = this.canvas.width / Math.max(width, height);
    const left = (this.canvas.width - width * scale) / 2, top = (this.canvas.height - height * scale) / 2;
    this.context.imageSmoothingEnabled = scale < 4;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(source, left, top, width * scale, height * scale);
  }

  drawPen(color) {
    const { canvas, context, pen } = this;
    const radius = Math.max((this.brushWidth() * canvas.width) / 2, 4);
    context.beginPath();
    context.arc(pen.x * canvas.width, pen.y * canvas.width, radius, 0, 2 * Math.PI);
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeStyle = color;
    if (pen.isDown) context.fillStyle = color;
    context[pen.isDown ? "fill" : "stroke"]();
  }

  begin(point) {
    this.onBegin();
    this.stroke = this.history.addStroke(this.brushWidth(), point);
    this.onChange();
  }

  listenToPointers() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.pointer !== null) return; // another finger, or the palm
      this.pointer = event.pointerId;
      this.pen.isDown = false;
      canvas.setPointerCapture(event.pointerId);
      this.begin(this.placeOf(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.pointer) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length > 0 ? events : [event]) this.stroke.points.push(this.placeOf(one));
      this.onChange();
    });
    const end = (event) => {
      if (event.pointerId !== this.pointer) return;
      this.pointer = this.stroke = null;
      this.onChange();
    };
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, end);
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const hasPressure = event.pointerType === "pen" && event.pressure > 0;
    return {
      x: (event.clientX - box.left - this.canvas.clientLeft) / this.canvas.clientWidth,
      y: (event.clientY - box.top - this.canvas.clientTop) / this.canvas.clientHeight,
      pressure: hasPressure ? 0.5 + event.pressure : 1,
    };
  }

  listenToKeys() {
    const { canvas, pen } = this;
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " ") {
        if (!event.repeat) this.togglePen();
      } else if (event.key in ARROWS) {
        this.heldArrows.add(event.key); // two of them move diagonally
        this.movePen(event.shiftKey ? FINE_STEP : STEP);
      } else {
        return;
      }
      event.preventDefault(); // do not scroll
      this.draw();
    });
    canvas.addEventListener("keyup", (event) => this.heldArrows.delete(event.key));
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => {
      this.heldArrows.clear();
      this.liftPen();
      this.draw();
    });
  }

  togglePen() {
    if (this.pen.isDown) return this.liftPen();
    this.pen.isDown = true;
    this.begin({ x: this.pen.x, y: this.pen.y, pressure: 1 });
  }

  // End the stroke of the keyboard, for example because it was undone.
  liftPen() {
    this.pen.isDown = false;
    if (this.pointer === null) this.stroke = null;
  }

  movePen(step) {
    for (const key of this.heldArrows) {
      this.pen.x = Math.min(1, Math.max(0, this.pen.x + step * ARROWS[key][0]));
      this.pen.y = Math.min(1, Math.max(0, this.pen.y + step * ARROWS[key][1]));
    }
    if (this.pen.isDown) {
      this.stroke.points.push({ x: this.pen.x, y: this.pen.y, pressure: 1 });
      this.onChange();
    }
  }
}

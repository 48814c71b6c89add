// Convert the ink of a digit to MNIST's style; see data/transforms/mnist_style.py.

import { crop, paste } from "./images.js";
import { resize, roundHalfEven } from "./resample.js";

export const SIDE = 28;
const BOX = 20; // longer side of the ink
const CENTER = 14; // row and column of the center of mass
const MAX_OFFSET = 0.52; // from it, because digits are moved by whole pixels
const STROKE_SIDE = 4 * BOX; // longer side of the ink while strokes are measured and thickened
const MIN_STROKE = 6; // width at STROKE_SIDE

// ink: a gray image, cropped to the digit, from 0 for paper to 255.
export function toMnistStyle(ink) {
  const strokes = thicken(resizeLongerSide(ink, STROKE_SIDE));
  return centerByMass(resizeLongerSide(strokes, BOX));
}

// Return whether a gray image already has MNIST's style.
export function isMnistStyle({ data, width, height }) {
  if (width !== SIDE || height !== SIDE || !data.some((value) => value > 127)) return false;
  const box = inkBox({ data, width, height }, 0);
  const side = Math.max(box.right - box.left, box.bottom - box.top);
  if (side !== BOX - 1 && side !== BOX) return false;
  const [x, y] = centerOfMass({ data, width, height });
  return Math.max(Math.abs(x - CENTER), Math.abs(y - CENTER)) <= MAX_OFFSET;
}

// Return the mean width of strokes: the area of a stroke is half its outline times that.
export function meanStrokeWidth({ data, width, height }) {
  const isInk = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] > 127;
  let area = 0, outline = 0;
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const ink = isInk(x, y);
      area += ink;
      outline += (ink !== isInk(x - 1, y)) + (ink !== isInk(x, y - 1));
    }
  }
  return (2 * area) / Math.max(1, (outline * Math.PI) / 4);
}

// Return the part of a gray image that has ink.
export function cropToInk(ink) {
  const { left, top, right, bottom } = inkBox(ink, 127);
  return crop(ink, left, top, right, bottom);
}

function inkBox({ data, width, height }, threshold) {
  let left = width, top = height, right = 0, bottom = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] <= threshold) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  return right === 0 ? { left: 0, top: 0, right: 0, bottom: 0 } : { left, top, right, bottom };
}

function resizeLongerSide(image, side) {
  const ratio = side / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((n) => Math.max(1, roundHalfEven(n * ratio)));
  return resize(image, width, height, ratio < 1 ? "box" : "bicubic");
}

// Widen thin strokes, which would fade in 20 pixels, after stretching the brightest ink to 255.
function thicken(ink) {
  const factor = Math.fround(255 / Math.max(1, ink.data.reduce((a, b) => Math.max(a, b), 0)));
  let canvas = paste(ink, ink.width + 2 * MIN_STROKE, ink.height + 2 * MIN_STROKE, MIN_STROKE, MIN_STROKE);
  canvas.data = canvas.data.map((value) => Math.trunc(Math.fround(value * factor)));
  for (let i = 0; i < MIN_STROKE / 2 && meanStrokeWidth(canvas) < MIN_STROKE; i++) {
    canvas = { ...canvas, data: maximumOf3x3(canvas) };
  }
  return cropToInk(canvas);
}

function maximumOf3x3({ data, width, height }) {
  return data.map((_, i) => {
    const column = i % width, row = (i - column) / width;
    let highest = 0;
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
      for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
        highest = Math.max(highest, data[y * width + x]);
      }
    }
    return highest;
  });
}

function centerOfMass({ data, width }) {
  let mass = 0, x = 0, y = 0;
  data.forEach((value, i) => {
    mass += value;
    x += value * (i % width);
    y += value * Math.floor(i / width);
  });
  return [x / Math.max(1, mass), y / Math.max(1, mass)];
}

function centerByMass(ink) {
  const [x, y] = centerOfMass(ink);
  const place = (center, size) => Math.min(Math.max(roundHalfEven(CENTER - center), 0), SIDE - size);
  return paste(ink, SIDE, SIDE, place(x, ink.width), place(y, ink.height));
}

// Find the ink of a digit in a drawing or a photograph; simplified from data/transforms/digit_finder.py.

import { findComponents, groupAroundMain, longerSide, maskWithEdges, pixelsOf } from "./components.js";
import { cropToInk, meanStrokeWidth } from "./digit.js";
import { toGray } from "./images.js";
import { resize } from "./resample.js";

const MAX_SIDE = 512; // larger photographs are reduced first; strokes remain wide enough
const MIN_SIDE = 112; // smaller images are enlarged, so that strokes are several pixels wide
const SMALL = 55; // longer side, up to which the median of the border is the paper
const MAX_STROKE = 0.3; // of the longer side; wider structures belong to the background
const DARKEST = 24; // gray levels added before division, so that noise in deep shadow does not become ink
const MIN_CONTRAST = 0.1; // of the paper's brightness; a fainter difference is not ink
const MIN_LEVELS = 18; // gray levels between ink and paper
const MIN_THICKNESS = 0.025; // of strokes; what is thinner is the rest of an edge
const MAX_PASSES = 3; // each ignores what the passes before it found and rejected
const MAX_PARTS = 12; // of a digit; texture has more
const MIN_SUPPORT = 0.75; // share of the outline at which the image has an edge
const SUPPORT_MARGIN = 0.04; // between the polarities
const EDGE_RADIUS = 2; // pixels around an outline in which an edge must lie
const COLOR_ADVANTAGE = 1.5; // how far the range of a color must exceed that of the brightness

// Return {ink, hasNeighbors} of known ink, or null if there is none.
export function inkOfDrawing(drawing) {
  const isInk = drawing.data.map((value) => value > 127);
  const { labels, components } = findComponents(isInk, drawing.data, drawing.width, drawing.height);
  const group = groupAroundMain(components, labels, drawing.width, drawing.height);
  return group && { ink: inkOfGroup(drawing.data, labels, group, drawing), hasNeighbors: group.hasNeighbors };
}

// Return {ink, hasNeighbors} of the main digit in an image, or null if there is nothing like one.
export function findDigit(image) {
  const isSmall = Math.max(image.width, image.height) <= SMALL;
  const fitted = mostContrastingChannel(fitSide(image));
  const inverted = { ...fitted, data: invert(fitted.data) };
  const paper = isSmall ? borderMedian(fitted) : null;
  const dark = candidate(fitted, paper);
  const bright = candidate(inverted, paper === null ? null : 255 - paper);
  return dark && bright ? better(dark, bright) : dark ?? bright;
}

function fitSide(image) {
  const longer = Math.max(image.width, image.height);
  const factor = Math.max(Math.min(1, MAX_SIDE / longer), MIN_SIDE / longer);
  if (factor === 1) return image;
  const [width, height] = [image.width, image.height].map((n) => Math.max(1, Math.round(n * factor)));
  return resize(image, width, height, factor < 1 ? "box" : "bicubic");
}

// Return the brightness, or a difference of colors if the ink and the paper differ in color only.
function mostContrastingChannel(image) {
  const gray = toGray(image);
  if (image.channels === 1) return gray;
  const { data } = image;
  const redGreen = bytes(gray.data.length, (i) => 127.5 + (data[3 * i] - data[3 * i + 1]) / 2);
  const yellowBlue = bytes(
    gray.data.length,
    (i) => 127.5 + (data[3 * i] + data[3 * i + 1] - 2 * data[3 * i + 2]) / 4,
  );
  const ranges = [gray.data, redGreen, yellowBlue].map(rangeOf);
  const color = ranges[1].width >= ranges[2].width ? 1 : 2;
  if (ranges[color].width <= COLOR_ADVANTAGE * ranges[0].width) return gray;
  const { low, width } = ranges[color];
  const stretch = (value) => Math.min(235, Math.max(20, 20 + (215 * (value - low)) / width));
  const chosen = color === 1 ? redGreen : yellowBlue;
  return { ...gray, data: bytes(chosen.length, (i) => stretch(chosen[i])) };
}

// Return the range of values without the extremes, which may be noise.
function rangeOf(channel) {
  const sample = channel.filter((_, i) => i % 7 === 0);
  const low = quantile(sample, 0.01);
  return { low, width: quantile(sample, 0.99) - low };
}

function borderMedian({ data, width, height }) {
  const border = [];
  for (let x = 0; x < width; x++) border.push(data[x], data[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) border.push(data[y * width], data[(y + 1) * width - 1]);
  return quantile(border, 0.5);
}

// Find ink that is darker than the paper. paper: its brightness, or null to estimate it at each pixel.
function candidate(gray, paper) {
  const { width, height } = gray;
  const smooth = blur(gray);
  const background = paper === null ? close(smooth, width, height) : new Uint8Array(smooth.length).fill(paper);
  const ink = new Float32Array(smooth.length);
  // Light multiplies, so the ratio does not depend on it.
  for (let i = 0; i < ink.length; i++) {
    ink[i] = Math.max(0, background[i] - smooth[i]) / (background[i] + DARKEST);
  }
  const levels = bytes(ink.length, (i) => ink[i] * 255);
  const floor = Math.max(MIN_CONTRAST, noiseFloor(ink, width, height));
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const threshold = Math.max(otsu(levels) / 255, floor);
    const isInk = bytes(levels.length, (i) => levels[i] > threshold * 255);
    const { labels, components } = findComponents(isInk, ink, width, height);
    if (components.length === 0) return null;
    const group = groupAroundMain(components, labels, width, height);
    if (group && group.members.length <= MAX_PARTS) {
      const found = measure(group, labels, { smooth, background, ink, width, height }, threshold);
      const isDigit = found.support > MIN_SUPPORT && found.contrast >= MIN_LEVELS;
      if (isDigit && found.thickness >= MIN_THICKNESS) return found;
    }
    const rejected = dilate(isInk, width, height, 2);
    for (let i = 0; i < levels.length; i++) if (rejected[i]) levels[i] = 0;
  }
  return null;
}

// Remove noise with the weights 1, 2, 1 in both directions.
function blur({ data, width, height }) {
  const horizontal = new Float32Array(data.length), result = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const x = i % width;
    horizontal[i] = data[x > 0 ? i - 1 : i] + 2 * data[i] + data[x < width - 1 ? i + 1 : i];
  }
  for (let i = 0; i < data.length; i++) {
    const above = i >= width ? i - width : i, below = i < width * (height - 1) ? i + width : i;
    result[i] = (horizontal[above] + 2 * horizontal[i] + horizontal[below] + 8) / 16;
  }
  return result;
}

// Morphological closing, which removes strokes but follows even the edge of a shadow.
function close(data, width, height) {
  const radius = Math.floor((MAX_STROKE * Math.max(width, height)) / 2);
  return invert(dilate(invert(dilate(data, width, height, radius)), width, height, radius));
}

function invert(data) {
  return bytes(data.length, (i) => 255 - data[i]);
}

// Uint8Array.from and map are ten times slower.
function bytes(length, valueAt) {
  const result = new Uint8Array(length);
  for (let i = 0; i < length; i++) result[i] = valueAt(i);
  return result;
}

// Return the maximum over a square of 2 * radius + 1 pixels around each pixel.
function dilate(data, width, height, radius) {
  const rows = new Uint8Array(data.length), result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) slideMaximum(data, rows, y * width, 1, width, radius);
  for (let x = 0; x < width; x++) slideMaximum(rows, result, x, width, height, radius);
  return result;
}

// Write the maximum of a sliding window over one row or column, in constant time per pixel.
function slideMaximum(from, to, start, stride, length, radius) {
  const queue = new Int32Array(length); // positions whose values decrease
  let head = 0, tail = 0;
  for (let i = 0; i < length + radius; i++) {
    if (i < length) {
      const value = from[start + i * stride];
      while (tail > head && from[start + queue[tail - 1] * stride] <= value) tail--;
      queue[tail++] = i;
    }
    const center = i - radius;
    if (center < 0) continue;
    if (queue[head] < center - radius) head++;
    to[start + center * stride] = from[start + queue[head] * stride];
  }
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.floor(share * (sorted.length - 1))];
}

// Return the amount of ink that noise alone explains.
function noiseFloor(ink, width, height) {
  const values = [], differences = [];
  const step = Math.max(1, Math.floor(height / 16));
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (x % 3 === 0) values.push(ink[i]);
      if (x >= 2) differences.push(Math.abs(ink[i] - ink[i - 2]));
    }
  }
  return quantile(values, 0.2) + 5 * 1.05 * quantile(differences, 0.5);
}

// Return the threshold that best separates two classes of levels (Otsu 1979).
function otsu(levels) {
  const histogram = new Float64Array(256);
  for (const level of levels) histogram[level]++;
  const total = levels.length;
  const sum = histogram.reduce((all, count, level) => all + count * level, 0);
  let best = 0, bestVariance = -1, count = 0, partial = 0;
  for (let level = 0; level < 256; level++) {
    count += histogram[level];
    partial += histogram[level] * level;
    if (count === 0 || count === total) continue;
    const variance = (sum * count - partial * total) ** 2 / (count * (total - count));
    if (variance > bestVariance) [best, bestVariance] = [level, variance];
  }
  return best;
}

function measure(group, labels, { smooth, background, ink, width, height }, threshold) {
  const inside = pixelsOf(group, labels, width);
  const strength = quantile(inside.map((i) => ink[i]), 0.5);
  // Levels near the threshold are kept, so that edges of strokes stay smooth.
  const low = 0.5 * threshold, high = Math.max(1.3 * threshold, 0.85 * strength);
  const levels = bytes(ink.length, (i) => 255 * Math.min(1, Math.max(0, (ink[i] - low) / (high - low))));
  const digit = inkOfGroup(levels, labels, group, { width, height });
  return {
    ink: digit,
    hasNeighbors: group.hasNeighbors,
    box: group,
    touchesBorder: group.members.some((part) => part.onBorder > 0),
    fill: inside.length / area(group),
    contrast: quantile(inside.map((i) => background[i] - smooth[i]), 0.85),
    thickness: meanStrokeWidth(digit) / Math.max(1, digit.width, digit.height),
    support: edgeSupport(smooth, inside, strength, width, height),
  };
}

function inkOfGroup(levels, labels, group, { width, height }) {
  const mask = maskWithEdges(labels, group, width, height);
  return cropToInk({ data: bytes(levels.length, (i) => levels[i] * mask[i]), width, height, channels: 1 });
}

// Return the share of an outline at which the image has an edge.
function edgeSupport(smooth, inside, strength, width, height) {
  const mask = new Uint8Array(smooth.length);
  for (const i of inside) mask[i] = 1;
  const contrast = -Math.log(Math.max(0.02, 1 - strength));
  let outline = 0, edges = 0;
  for (const i of inside) {
    const x = i % width, y = (i - x) / width;
    if (x === 0 || x === width - 1 || y === 0 || y === height - 1) continue;
    if (mask[i - 1] && mask[i + 1] && mask[i - width] && mask[i + width]) continue;
    outline++;
    const [lowest, highest] = rangeAround(smooth, x, y, width, height);
    if (Math.log((highest + DARKEST) / (lowest + DARKEST)) > 0.4 * contrast) edges++;
  }
  return outline === 0 ? 0 : edges / outline;
}

function rangeAround(data, x, y, width, height) {
  let lowest = 255, highest = 0;
  for (let ny = Math.max(0, y - EDGE_RADIUS); ny <= Math.min(height - 1, y + EDGE_RADIUS); ny++) {
    for (let nx = Math.max(0, x - EDGE_RADIUS); nx <= Math.min(width - 1, x + EDGE_RADIUS); nx++) {
      const value = data[ny * width + nx];
      if (value < lowest) lowest = value;
      if (value > highest) highest = value;
    }
  }
  return [lowest, highest];
}

const area = (box) => (box.right - box.left) * (box.bottom - box.top);

// Choose a polarity. The wrong one finds gaps between strokes or the sheet of paper.
function better(dark, bright) {
  if (Math.abs(dark.support - bright.support) > SUPPORT_MARGIN) return dark.support > bright.support ? dark : bright;
  const [larger, smaller] = area(dark.box) >= area(bright.box) ? [dark, bright] : [bright, dark];
  if (shareInside(smaller.box, larger.box) <= 0.8) return score(bright) > 1.15 * score(dark) ? bright : dark;
  if (larger.fill > 0.6) return smaller; // a sheet of paper with the digit in it
  if (larger.touchesBorder !== smaller.touchesBorder) {
    const [touching, free] = larger.touchesBorder ? [larger, smaller] : [smaller, larger];
    const isGap = free.thickness > 1.3 * touching.thickness && larger.contrast > 0.7 * smaller.contrast;
    return isGap ? touching : free;
  }
  if (longerSide(smaller.box) < 0.3 * longerSide(larger.box)) return larger;
  // A digit and its gaps, which are thicker.
  return larger.thickness <= 1.3 * smaller.thickness && larger.contrast > 0.4 * smaller.contrast ? larger : smaller;
}

function score(found) {
  return (found.contrast * Math.sqrt(longerSide(found.box))) / Math.max(found.thickness, 0.12);
}

function shareInside(box, other) {
  const width = Math.min(box.right, other.right) - Math.max(box.left, other.left);
  const height = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
  return (Math.max(0, width) * Math.max(0, height)) / area(box);
}

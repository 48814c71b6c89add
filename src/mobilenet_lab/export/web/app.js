// Connects the pad, the network and the answer.

import { Answer } from "./answer.js";
import { Camera } from "./camera.js";
import { isMnistStyle, SIDE, toMnistStyle } from "./digit.js";
import { listenToFiles } from "./files.js";
import { findDigit, inkOfDrawing } from "./finder.js";
import { History } from "./history.js";
import { cropCenter, decodeImage, readPixels, resizeToSquare, toGray, toPlanes } from "./images.js";
import { Network } from "./network.js";
import { Pad } from "./pad.js";
import { inkOf } from "./strokes.js";

const element = (id) => document.getElementById(id);
const model = JSON.parse(element("metadata").textContent);
const canDraw = model.mnist_style;
const brush = element("brush");

const history = new History();
const answer = new Answer(model.classes, { ranked: !canDraw });
const pad = new Pad(element("pad"), history, {
  canDraw,
  brushWidth: () => Number(brush.value) / 100, // of the side of the pad
  onBegin: () => stopCamera(),
  onChange: () => update(),
});
let network = null;
let camera = null;

// Return {image, note}: what the network gets, or an image of null if there is nothing to classify.
function prepare() {
  if (history.isEmpty) return { image: null, note: document.body.dataset.prompt };
  const pixels = history.image ? history.image.pixels : inkOf(history.strokes);
  if (!canDraw) return { image: square(pixels), note: null };
  const gray = toGray(pixels);
  if (isMnistStyle(gray)) return { image: square(gray), note: null };
  const found = history.image ? findDigit(pixels) : inkOfDrawing(gray);
  if (found === null) return { image: null, note: "no digit found" };
  return { image: square(toMnistStyle(found.ink)), note: found.hasNeighbors ? "several digits found" : null };
}

function square(image) {
  return resizeToSquare(image, model.native_size, model.channels, model.fit);
}

// Show the part of an image that the network sees, or nothing.
function showInput(image) {
  const side = model.visible_side;
  const canvas = element("seen");
  const context = canvas.getContext("2d");
  canvas.hidden = image === null;
  if (image === null) return;
  canvas.width = canvas.height = side;
  const { data, channels } = cropCenter(image, side);
  const shown = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let channel = 0; channel < 3; channel++) {
      shown.data[4 * i + channel] = data[i * channels + (channel % channels)];
    }
    shown.data[4 * i + 3] = 255;
  }
  context.putImageData(shown, 0, 0);
}

let isWaiting = false, isRunning = false, isOutdated = false;

// Draw and classify at the next frame. Changes during a run lead to one more run, not to a queue.
function update() {
  if (isWaiting) return;
  isWaiting = true;
  setBusy(true);
  requestAnimationFrame(() => {
    isWaiting = false;
    pad.draw();
    element("undo").disabled = !history.canUndo;
    element("redo").disabled = !history.canRedo;
    element("clear").disabled = history.isEmpty;
    element("hint").hidden = !history.isEmpty;
    element("pad").dataset.empty = history.isEmpty;
    classify();
  });
}

async function classify() {
  if (network === null || isRunning) {
    isOutdated = true;
    return;
  }
  isRunning = true;
  isOutdated = false;
  try {
    const { image, note } = prepare();
    const start = performance.now();
    const probabilities = image && (await network.classify(toPlanes(image)));
    showInput(image);
    if (probabilities === null) answer.showMessage(note);
    else {
      answer.show(probabilities, note);
      element("time").textContent = `; last answer in ${(performance.now() - start).toFixed(1)} ms`;
    }
  } finally {
    isRunning = false;
  }
  if (isOutdated) classify();
  else if (!isWaiting) setBusy(false);
}

// Say whether the answer is about an earlier drawing.
function setBusy(isBusy) {
  document.querySelector(".answer").setAttribute("aria-busy", isBusy);
}

async function showFile(file) {
  stopCamera();
  try {
    const [pixels, source] = await Promise.all([decodeImage(file), createImageBitmap(file)]);
    history.add({ kind: "image", pixels, source });
    update();
  } catch {
    showProblem(`${file.name}: this browser cannot decode it. Use a PNG or JPEG file.`);
  }
}

let problemTimer;

function showProblem(message) {
  element("problem").textContent = message;
  clearTimeout(problemTimer); // of the message before
  problemTimer = setTimeout(() => (element("problem").textContent = ""), 8000);
}

// Keep one image while the camera is on, and the last one after it.
async function showFrame(video) {
  const source = await createImageBitmap(video);
  if (!camera.isOn) return source.close(); // stopped in the meantime
  if (history.image?.isLive) history.actions.pop().source.close();
  history.add({ kind: "image", isLive: true, pixels: readPixels(source, source.width, source.height), source });
  update();
}

let isStarting = false; // while the browser asks the user

async function toggleCamera() {
  if (camera?.isOn) return stopCamera();
  if (isStarting) return;
  isStarting = true;
  camera = new Camera(showFrame);
  try {
    await camera.start();
    element("camera").textContent = "Stop camera";
  } catch (error) {
    showProblem(error.message);
  } finally {
    isStarting = false;
  }
}

function stopCamera() {
  if (history.image?.isLive) history.image.isLive = false;
  camera?.stop();
  element("camera").textContent = "Camera";
}

function change(action) {
  stopCamera();
  pad.liftPen();
  action();
  update();
}

const commands = {
  undo: () => change(() => history.undo()),
  redo: () => change(() => history.redo()),
  clear: () => change(() => history.clear()),
};

function listenToShortcuts() {
  document.addEventListener("keydown", (event) => {
    const isControl = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    let command = null;
    if (isControl && key === "z") command = event.shiftKey ? "redo" : "undo";
    else if (isControl && key === "y") command = "redo";
    else if (!isControl && (key === "delete" || key === "escape")) command = "clear";
    else if (canDraw && !isControl && (key === "+" || key === "-")) brush[key === "+" ? "stepUp" : "stepDown"]();
    if (command === null) return;
    event.preventDefault();
    commands[command]();
  });
}

async function start() {
  for (const [id, command] of Object.entries(commands)) element(id).addEventListener("click", command);
  element("choose").addEventListener("click", () => element("file").click());
  element("camera").addEventListener("click", toggleCamera);
  listenToFiles(element("file"), element("pad-frame"), showFile, showProblem);
  listenToShortcuts();
  update();
  try {
    network = await Network.load(model.channels, model.native_size);
  } catch (error) {
    document.body.dataset.state = "failed";
    answer.showMessage(`The network cannot be loaded: ${error.message}. Use a browser of 2023 or later.`);
    return;
  }
  document.body.dataset.state = "ready";
  document.body.dataset.readyAfter = Math.round(performance.now());
  update();
}

start();

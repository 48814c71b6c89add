// Decode images, and convert them to what the network takes; see data/images.py.

import { resize, roundHalfEven } from "./resample.js";

const MAX_SIDE = 2048; // larger images are reduced by the browser while they are decoded
const MAX_PIXELS = 2 ** 26; // of an image that is resized before it is cropped

// Decode a file to {data, width, height, channels: 3}, upright, on an opaque background.
export async function decodeImage(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  try {
    return readPixels(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

// Return the pixels of anything that a canvas can draw.
export function readPixels(source, sourceWidth, sourceHeight) {
  const factor = Math.min(1, MAX_SIDE / Math.max(sourceWidth, sourceHeight));
  const width = Math.max(1, Math.round(sourceWidth * factor));
  const height = Math.max(1, Math.round(sourceHeight * factor));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return onBackground(context.getImageData(0, 0, width, height));
}

// Drop the alpha channel. The background is white, or black behind mostly bright pixels.
function onBackground({ data, width, height }) {
  const background = isBrightOnTransparency(data) ? 0 : 255;
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3] / 255;
    for (let channel = 0; channel < 3; channel++) {
      pixels[to++] = Math.round(data[from + channel] * alpha + background * (1 - alpha));
    }
  }
  return { data: pixels, width, height, channels: 3 };
}

function isBrightOnTransparency(rgba) {
  let sum = 0, visible = 0, lowest = 255;
  for (let i = 0; i < rgba.length; i += 4) {
    lowest = Math.min(lowest, rgba[i + 3]);
    if (rgba[i + 3] > 127) {
      sum += luma(rgba[i], rgba[i + 1], rgba[i + 2]);
      visible++;
    }
  }
  return visible > 0 && lowest < 128 && sum / visible > 127;
}

function luma(red, green, blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // ITU-R 601, as in Pillow
}

export function toGray({ data, width, height, channels }) {
  if (channels === 1) return { data, width, height, channels };
  const gray = new Uint8Array(width * height);
  for (let i = 0, from = 0; i < gray.length; i++, from += 3) gray[i] = luma(data[from], data[from + 1], data[from + 2]);
  return { data: gray, width, height, channels: 1 };
}

function toColor({ data, width, height, channels }) {
  if (channels === 3) return { data, width, height, channels };
  const color = new Uint8Array(3 * data.length);
  data.forEach((value, i) => color.fill(value, 3 * i, 3 * i + 3));
  return { data: color, width, height, channels: 3 };
}

// Convert to a square with 1 or 3 channels, as data/images.py does; fit is "crop", "pad" or "stretch".
export function resizeToSquare(image, size, channels, fit) {
  const converted = channels === 1 ? toGray(image) : toColor(image);
  const { width, height } = converted;
  if (width === size && height === size) return converted;
  if (fit === "stretch") return resize(converted, size, size, "bilinear");
  if (fit === "crop") return resizeAndCrop(converted, size);
  const newWidth = width < height ? Math.max(1, roundHalfEven((width / height) * size)) : size;
  const newHeight = height < width ? Math.max(1, roundHalfEven((height / width) * size)) : size;
  const resized = resize(converted, newWidth, newHeight, "bilinear");
  const left = roundHalfEven((size - newWidth) * 0.5), top = roundHalfEven((size - newHeight) * 0.5);
  return paste(resized, size, size, left, top);
}

// Resize the shorter side, and crop the center.
function resizeAndCrop(image, size) {
  const { width, height } = image;
  const short = Math.min(width, height);
  const length = Math.trunc((size * Math.max(width, height)) / short);
  if (size * length > MAX_PIXELS) {
    const left = (width - short) / 2, top = (height - short) / 2;
    return resize(image, size, size, "bilinear", [left, top, left + short, top + short]);
  }
  const resized = resize(image, width === short ? size : length, width === short ? length : size, "bilinear");
  return cropCenter(resized, size);
}

// Return the centered square of a side.
export function cropCenter(image, side) {
  const left = roundHalfEven((image.width - side) / 2), top = roundHalfEven((image.height - side) / 2);
  return crop(image, left, top, left + side, top + side);
}

// Return a black image with another one at a place in it.
export function paste(image, width, height, left, top) {
  const data = new Uint8Array(width * height * image.channels);
  const stride = image.width * image.channels;
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * stride, (y + 1) * stride);
    data.set(row, ((y + top) * width + left) * image.channels);
  }
  return { data, width, height, channels: image.channels };
}

// Return the part of an image from (left, top) up to, not including, (right, bottom).
export function crop({ data, width, channels }, left, top, right, bottom) {
  const stride = (right - left) * channels;
  const part = new Uint8Array(stride * (bottom - top));
  for (let y = top; y < bottom; y++) {
    const start = (y * width + left) * channels;
    part.set(data.subarray(start, start + stride), (y - top) * stride);
  }
  return { data: part, width: right - left, height: bottom - top, channels };
}

// Return the network's input: channels first.
export function toPlanes({ data, width, height, channels }) {
  const planes = new Uint8Array(data.length);
  const area = width * height;
  for (let i = 0; i < data.length; i++) planes[(i % channels) * area + Math.floor(i / channels)] = data[i];
  return planes;
}

// Resize images exactly as Pillow does: separable filters in fixed-point arithmetic.
// An image is {data: Uint8Array, width, height, channels}, with interleaved channels.

const PRECISION = 22; // bits after the point, as in Pillow's Resample.c

const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: bicubic },
};

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// Resize to width x height pixels; box is the part to use: left, top, right, bottom.
export function resize(image, width, height, filter, box = [0, 0, image.width, image.height]) {
  const [left, top, right, bottom] = box.map(Math.fround); // Pillow computes with 32 bits here
  const passes = [];
  if (width !== image.width || left !== 0 || right !== image.width) {
    passes.push((one) => resizeRows(one, width, weights(image.width, left, right, width, FILTERS[filter])));
  }
  if (height !== image.height || top !== 0 || bottom !== image.height) {
    passes.push((one) => resizeColumns(one, height, weights(image.height, top, bottom, height, FILTERS[filter])));
  }
  // Each pass rounds, so the order matters. This is Pillow 13's, as measured.
  if (height < image.height && 2 * (image.width - width) < image.height - height) passes.reverse();
  return passes.reduce((one, pass) => pass(one), image);
}

// For each output position: the first input position, and the integer weights of those from there on.
function weights(inputSize, start, end, outputSize, filter) {
  const scale = Math.fround(end - start) / outputSize;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  return Array.from({ length: outputSize }, (_, position) => {
    const center = start + (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(inputSize, Math.trunc(center + support + 0.5));
    const values = [];
    let sum = 0;
    for (let i = first; i < last; i++) {
      values.push(filter.weight((i - center + 0.5) * (1 / filterScale)));
      sum += values.at(-1);
    }
    return { first, values: Int32Array.from(values, (value) => toFixedPoint(sum === 0 ? value : value / sum)) };
  });
}

function toFixedPoint(value) {
  return Math.trunc(value * 2 ** PRECISION + (value < 0 ? -0.5 : 0.5));
}

function toByte(sum) {
  return Math.min(255, Math.max(0, sum >> PRECISION));
}

function resizeRows({ data, width, height, channels }, newWidth, rowWeights) {
  const result = new Uint8Array(newWidth * height * channels);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, values } of rowWeights) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 1 << (PRECISION - 1);
        let from = (y * width + first) * channels + channel;
        for (let i = 0; i < values.length; i++, from += channels) sum += data[from] * values[i];
        result[to++] = toByte(sum);
      }
    }
  }
  return { data: result, width: newWidth, height, channels };
}

function resizeColumns({ data, width, channels }, newHeight, columnWeights) {
  const stride = width * channels;
  const result = new Uint8Array(stride * newHeight);
  let to = 0;
  for (const { first, values } of columnWeights) {
    for (let x = 0; x < stride; x++) {
      let sum = 1 << (PRECISION - 1);
      for (let i = 0, from = first * stride + x; i < values.length; i++, from += stride) sum += data[from] * values[i];
      result[to++] = toByte(sum);
    }
  }
  return { data: result, width, height: newHeight, channels };
}

// Round halves to the even number, as Python does.
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

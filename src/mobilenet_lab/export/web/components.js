// Connected components of ink, and the group of them that forms a digit; see digit_group.py.

const MIN_SIDE = 0.03; // of the image's longer side; a digit is at least this large
const LINE_RATIO = 6; // a component wider than this times its height is an underline
const MAX_BORDER_SHARE = 0.5; // pixels at the image's border per side length, up to which it may be a cut digit
const MAX_GAP = 0.15; // of the main component's side, between parts of one digit
const MAX_GAP_OF_EQUALS = 0.06; // between components of which each could be a digit
const CORNER = 0.12; // of a bounding box's sides; an ellipse leaves these corners empty
const MIN_PART = 0.004; // of the main component's area; smaller ones are specks

// Return {labels, components}, the largest component first. isInk and strength have one value per pixel.
export function findComponents(isInk, strength, width, height) {
  const labels = new Int32Array(isInk.length);
  const stack = new Int32Array(isInk.length);
  const components = [];
  for (let start = 0; start < isInk.length; start++) {
    if (isInk[start] && labels[start] === 0) {
      components.push(fill(start, components.length + 1));
    }
  }
  return { labels, components: components.sort((a, b) => b.area - a.area) };

  function fill(start, id) {
    const found = { id, left: width, top: height, right: 0, bottom: 0, area: 0, onBorder: 0, strength: 0 };
    let count = 1;
    stack[0] = start;
    labels[start] = id;
    while (count > 0) {
      const place = stack[--count];
      const x = place % width, y = (place - x) / width;
      found.area++;
      found.strength += strength[place];
      found.onBorder += (x === 0) + (x === width - 1) + (y === 0) + (y === height - 1);
      found.left = Math.min(found.left, x);
      found.right = Math.max(found.right, x + 1);
      found.top = Math.min(found.top, y);
      found.bottom = Math.max(found.bottom, y + 1);
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const next = ny * width + nx;
          if (isInk[next] && labels[next] === 0) {
            labels[next] = id;
            stack[count++] = next;
          }
        }
      }
    }
    found.strength /= found.area;
    return found;
  }
}

const widthOf = (part) => part.right - part.left;
const heightOf = (part) => part.bottom - part.top;
export const longerSide = (part) => Math.max(widthOf(part), heightOf(part));

// Return the main component with its neighbors, or null if no component can be a digit.
export function groupAroundMain(components, labels, width, height) {
  const isLine = (part) => widthOf(part) > LINE_RATIO * heightOf(part);
  const free = components.filter((part) => !isLine(part) && !isFrame(part, components, labels, width, height));
  const eligible = findEligible(free, width, height);
  if (eligible.length === 0) return null;
  const weight = (part) => part.area * part.strength;
  const main = eligible.slice(0, 8).reduce((best, part) => (weight(part) > weight(best) ? part : best));
  const others = free.filter(
    (part) =>
      part !== main &&
      (eligible.includes(part) || part.onBorder === 0) &&
      part.area >= Math.max(3, MIN_PART * main.area) &&
      part.strength >= 0.6 * main.strength,
  );
  const group = grow(main, others.slice(0, 30));
  const hasNeighbors = group.rest.some(
    (part) => eligible.includes(part) && heightOf(part) >= 0.5 * heightOf(group) && part.area >= 0.2 * main.area,
  );
  return { ...group, hasNeighbors };
}

// Return whether a component is a rectangle drawn around others, or along the image's border.
function isFrame(frame, components, labels, width, height) {
  const isLarge = widthOf(frame) > 0.2 * width && heightOf(frame) > 0.2 * height;
  const isHollow = frame.area < 0.25 * widthOf(frame) * heightOf(frame);
  if (!isLarge || !isHollow || inkedCorners(frame, labels, width) < 3) return false;
  const isInside = (part) =>
    part !== frame && part.left >= frame.left && part.top >= frame.top && part.right <= frame.right
    && part.bottom <= frame.bottom && heightOf(part) >= 0.25 * heightOf(frame);
  return frame.onBorder > 0 || components.some(isInside);
}

// Return how many corners of a bounding box have ink: 4 for a frame, 0 for an ellipse.
function inkedCorners(part, labels, width) {
  const across = Math.max(1, Math.floor(CORNER * widthOf(part)));
  const down = Math.max(1, Math.floor(CORNER * heightOf(part)));
  const hasInk = (left, top) => {
    for (let y = top; y < top + down; y++) {
      for (let x = left; x < left + across; x++) if (labels[y * width + x] === part.id) return true;
    }
    return false;
  };
  const lefts = [part.left, part.right - across], tops = [part.top, part.bottom - down];
  return tops.flatMap((top) => lefts.map((left) => hasInk(left, top))).filter(Boolean).length;
}

// Components that may be the digit: those inside the image, if there are any.
function findEligible(components, width, height) {
  const minimum = Math.max(6, MIN_SIDE * Math.max(width, height));
  const usable = components.filter((part) => longerSide(part) >= minimum);
  const free = usable.filter((part) => part.onBorder === 0);
  const cut = usable.filter(
    (part) => part.onBorder > 0 && part.onBorder / (widthOf(part) + heightOf(part)) < MAX_BORDER_SHARE,
  );
  const tallest = (parts) => Math.max(0, ...parts.map(heightOf));
  if (cut.length > 0 && tallest(cut) > 4 * tallest(free)) return usable.filter((part) => cut.includes(part) || free.includes(part));
  if (free.length > 0 || components.length > 3) return free;
  return usable.filter((part) => widthOf(part) * heightOf(part) >= 0.5 * width * height).slice(0, 1);
}

// Add components near the main one, and near those added.
function grow(main, others) {
  const box = { left: main.left, top: main.top, right: main.right, bottom: main.bottom };
  const members = [main];
  const side = longerSide(main);
  let rest = others;
  for (;;) {
    const near = rest.find((part) => {
      const gapX = Math.max(part.left - box.right, box.left - part.right);
      const gapY = Math.max(part.top - box.bottom, box.top - part.bottom);
      const isEqual = heightOf(part) >= 0.55 * heightOf(box) && gapX > 0;
      const limit = isEqual || part.area < 0.01 * main.area ? MAX_GAP_OF_EQUALS : MAX_GAP;
      return Math.max(gapX, gapY, 0) <= limit * side;
    });
    if (near === undefined) return { ...box, members, rest };
    members.push(near);
    rest = rest.filter((part) => part !== near);
    box.left = Math.min(box.left, near.left);
    box.top = Math.min(box.top, near.top);
    box.right = Math.max(box.right, near.right);
    box.bottom = Math.max(box.bottom, near.bottom);
  }
}

// Return the positions of a group's pixels.
export function pixelsOf(group, labels, width) {
  const ids = new Set(group.members.map((part) => part.id));
  const positions = [];
  for (let y = group.top; y < group.bottom; y++) {
    for (let x = group.left; x < group.right; x++) {
      const label = labels[y * width + x];
      if (label !== 0 && ids.has(label)) positions.push(y * width + x);
    }
  }
  return positions;
}

// Return 1 for the pixels of a group and a margin of one pixel that other components do not have.
export function maskWithEdges(labels, group, width, height) {
  const ids = new Set(group.members.map((part) => part.id));
  const mask = new Uint8Array(labels.length);
  for (const position of pixelsOf(group, labels, width)) {
    const x = position % width, y = (position - x) / width;
    for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
      for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
        const label = labels[ny * width + nx];
        if (label === 0 || ids.has(label)) mask[ny * width + nx] = 1;
      }
    }
  }
  return mask;
}

// Draw strokes on a canvas of any size. Places and widths are fractions of its side.

const INK_SIDE = 280; // pixels of the drawing that the network gets

// A stroke is {width, points: [{x, y, pressure}]}; pressure is 1 for a mouse or a finger.
export function drawStroke(context, { width, points }, side) {
  context.lineCap = context.lineJoin = "round";
  const [first] = points;
  const place = (point) => [point.x * side, point.y * side];
  context.beginPath();
  context.arc(...place(first), (width * first.pressure * side) / 2, 0, 2 * Math.PI);
  context.fill();
  for (let i = 1; i < points.length; i++) {
    context.beginPath();
    context.lineWidth = width * points[i].pressure * side;
    // Curves from middle to middle, so that few points make a smooth line.
    context.moveTo(...(i === 1 ? place(first) : middle(points[i - 2], points[i - 1])));
    context.quadraticCurveTo(...place(points[i - 1]), ...middle(points[i - 1], points[i]));
    if (i === points.length - 1) context.lineTo(...place(points[i]));
    context.stroke();
  }

  function middle(a, b) {
    return [((a.x + b.x) / 2) * side, ((a.y + b.y) / 2) * side];
  }
}

// Return the ink of strokes as a gray image, from 0 for paper to 255, independent of the screen.
export function inkOf(strokes) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = INK_SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (const stroke of strokes) drawStroke(context, stroke, INK_SIDE);
  const rgba = context.getImageData(0, 0, INK_SIDE, INK_SIDE).data;
  const data = new Uint8Array(INK_SIDE * INK_SIDE);
  for (let i = 0; i < data.length; i++) data[i] = rgba[4 * i + 3];
  return { data, width: INK_SIDE, height: INK_SIDE, channels: 1 };
}

"""Draw an image, what the network saw of it, and its answer, next to each other."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.inference.text_painter import TextPainter

PANEL = 224  # side of the images in pixels
MARGIN, CAPTION = 12, 26
ANSWERS = 260  # width of the column with the answers
TEXT, SMALL = 18, 13  # font sizes
ROW = 40  # height of one answer: its text and its bar
PAPER, INK, FAINT, TRACK, BAR, BEST = "white", "#1f2328", "#656d76", "#eaeef2", "#8c959f", "#0969da"
MAX_ANSWERS = (PANEL + CAPTION) // ROW
HEAT = 0.6  # share of the color where a map is 1


def card_painter(classes: Sequence[str]) -> TextPainter:
    """Return what draws the text of the cards."""
    return TextPainter(classes, (TEXT, SMALL))


def thumbnail(image: Image.Image) -> Image.Image:
    """Return an image of at most the size of a panel; small ones are enlarged without smoothing."""
    if factor := _whole_factor(image.size):
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    scale = PANEL / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def draw_card(
    painter: TextPainter,
    image: Image.Image,
    pixels: np.ndarray,
    prediction: Prediction,
    num_answers: int,
    heat: np.ndarray | None = None,
) -> Image.Image:
    """Return a card for one image.

    Args:
        painter: What `card_painter` returned.
        image: The image as `thumbnail` returned it.
        pixels: What the network saw, uint8, shape (channels, H, W).
        prediction: The answer.
        num_answers: How many of the most likely classes to show; at most `MAX_ANSWERS` fit.
        heat: Map of the evidence for the answer in [0, 1], shape (H, W); None to leave it out.
    """
    seen = _as_image(pixels)
    panels = [("image", image), (f"network input, {seen.width} x {seen.height}", thumbnail(seen))]
    if heat is not None:
        panels.append(("evidence for the answer", _overlay(seen, heat)))
    width = MARGIN + len(panels) * (PANEL + MARGIN) + ANSWERS + MARGIN
    card = Image.new("RGB", (width, PANEL + CAPTION + 2 * MARGIN), PAPER)
    canvas = ImageDraw.Draw(card)
    left = MARGIN
    for caption, panel in panels:
        canvas.rectangle((left, MARGIN, left + PANEL - 1, MARGIN + PANEL - 1), fill=TRACK)
        offset = (PANEL - panel.width) // 2, (PANEL - panel.height) // 2
        card.paste(panel, (left + offset[0], MARGIN + offset[1]))
        baseline = MARGIN + PANEL + CAPTION - 8
        painter.draw(canvas, (left, baseline), caption, SMALL, FAINT, PANEL)
        left += PANEL + MARGIN
    _draw_answers(painter, canvas, left + 4, prediction, num_answers)
    return card


def _draw_answers(
    painter: TextPainter, canvas: ImageDraw.ImageDraw, left: int, prediction: Prediction, num_answers: int
) -> None:
    rows = MAX_ANSWERS - bool(prediction.note)
    top = MARGIN
    for rank, (name, probability) in enumerate(prediction.top(min(num_answers, rows))):
        percent = f"{probability:.1%}"
        room = painter.width(percent, TEXT)
        color = INK if rank == 0 else FAINT
        painter.draw(canvas, (left, top + TEXT), name, TEXT, color, ANSWERS - room - MARGIN)
        painter.draw(canvas, (left + ANSWERS - room, top + TEXT), percent, TEXT, color, room)
        canvas.rectangle((left, top + 24, left + ANSWERS, top + 30), fill=TRACK)
        if (length := round(probability * ANSWERS)) > 0:
            canvas.rectangle((left, top + 24, left + length, top + 30), fill=BEST if rank == 0 else BAR)
        top += ROW
    if prediction.note:
        painter.draw(canvas, (left, top + TEXT), prediction.note, TEXT, FAINT, ANSWERS)


def _as_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def _overlay(seen: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return the image in gray, with warm colors where the map is high."""
    from matplotlib import colormaps

    panel = thumbnail(seen)
    smooth = Image.fromarray(heat.astype(np.float32)).resize(panel.size, Image.Resampling.BILINEAR)
    strength = np.asarray(smooth).clip(0, 1)[..., None]
    color = colormaps["inferno"](strength[..., 0])[..., :3] * 255
    gray = np.asarray(panel.convert("L"), np.float32)[..., None] * (1 - HEAT)
    return Image.fromarray((gray + HEAT * color).round().astype(np.uint8))


def _whole_factor(size: tuple[int, int]) -> int:
    """Return how often an image fits into a panel; 0 if it is larger or only a little smaller."""
    factor = PANEL // max(size)
    return factor if factor >= 2 or max(size) == PANEL else 0

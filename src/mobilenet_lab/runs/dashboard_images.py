"""Images for dashboards: confusion matrix, reliability diagram, grid of images. A few milliseconds each."""

import math
from collections.abc import Sequence

import numpy as np

from mobilenet_lab.runs.canvas import (
    BLACK,
    BLUE,
    GRAY,
    LIGHT,
    RED,
    WHITE,
    Canvas,
    Color,
    enlarged,
    label_of,
    text_width,
)
from mobilenet_lab.runs.quality import Calibration, reduce_cells

TEXT = 16  # size in pixels; TensorBoard shows images at about half their size
LARGE_TEXT = 20
MARGIN = 12
MATRIX_SIDE = 560
MAX_NAMED_CLASSES, MAX_COUNTED_CLASSES = 40, 20
LABEL_COLUMNS = 14
CELL = 112  # side of an image of a grid, with the space around it
CAPTION = 20  # height of a line under an image
CAPTION_COLUMNS = 10
PLOT = 360  # side of the reliability diagram
DARKEST = np.array([8, 48, 107])  # of the cells of a confusion matrix


def draw_confusion(confusion: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix; the color of a cell is its fraction of the true class.

    Args:
        confusion: Counts, shape (C, C); a row per true class, a column per predicted class.
        classes: Class names, by label.
    """
    confusion = reduce_cells(confusion, np.add)
    size = len(confusion)
    cell = max(1, round(MATRIX_SIDE / size))
    names = []
    if size <= MAX_NAMED_CLASSES:
        names = [label_of(name, label, LABEL_COLUMNS) for label, name in enumerate(classes)]
    small = min(LARGE_TEXT, cell)
    labels = max(text_width(names, small), LARGE_TEXT) + 8
    corner = MARGIN + LARGE_TEXT + 8 + labels
    canvas = Canvas(corner + size * cell + MARGIN, corner + size * cell + MARGIN)
    fractions = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    # The square root shows single mistakes: one in a hundred images is a tenth of the color.
    shades = 255 + np.sqrt(fractions)[..., None] * (DARKEST - 255)
    pixels = shades.round().astype(np.uint8).repeat(cell, axis=0).repeat(cell, axis=1)
    canvas.paste(pixels, corner, corner)
    canvas.draw.rectangle((corner - 1, corner - 1, corner + size * cell, corner + size * cell), None, GRAY)
    middle = corner + size * cell // 2
    canvas.text(middle, MARGIN + LARGE_TEXT // 2, "predicted class", LARGE_TEXT)
    canvas.vertical_text(MARGIN + LARGE_TEXT // 2, middle + 52, "true class", LARGE_TEXT)
    is_wide = text_width(names, small) > cell - 4
    for label, name in enumerate(names):
        center = corner + label * cell + cell // 2
        canvas.text(corner - 6, center, name, small, anchor="rm")
        if is_wide:
            canvas.vertical_text(center, corner - 6, name, small)
        else:
            canvas.text(center, corner - 6 - small // 2, name, small)
    if size <= MAX_COUNTED_CLASSES:
        _write_counts(canvas, confusion, fractions, corner, cell)
    return canvas.array()


def _write_counts(
    canvas: Canvas, confusion: np.ndarray, fractions: np.ndarray, corner: int, cell: int
) -> None:
    for row, column in zip(*confusion.nonzero(), strict=True):
        text = str(confusion[row, column])
        x, y = corner + column * cell + cell // 2, corner + row * cell + cell // 2
        color: Color = WHITE if fractions[row, column] > 0.25 else BLACK
        size = max(6, min(LARGE_TEXT, int(1.5 * (cell - 4) / len(text))))
        canvas.text(x, y, text, size, color)


def draw_reliability(calibration: Calibration) -> np.ndarray:
    """Draw a reliability diagram (Guo et al. 2017, arXiv:1706.04599), and the share of images per bin.

    A bar is the accuracy of the images of a bin, a red line their mean confidence. The bars of a calibrated
    network end at the line.
    """
    bars, left, top = PLOT // 4, 76, 44
    canvas = Canvas(left + PLOT + 2 * MARGIN, top + PLOT + 24 + bars + 50)
    counts = calibration.counts
    total = max(1, int(counts.sum()))
    number, bottom, floor = len(counts), top + PLOT, top + PLOT + 24 + bars
    canvas.text(left + PLOT / 2, top / 2, f"expected calibration error {calibration.error:.4f}", TEXT + 1)
    for tick in range(6):
        y = bottom - tick * PLOT // 5
        canvas.draw.line((left, y, left + PLOT, y), LIGHT)
        canvas.text(left - 6, y, f"{tick / 5:.1f}", TEXT, GRAY, "rm")
        canvas.text(left + tick * PLOT / 5, floor + 12, f"{tick / 5:.1f}", TEXT, GRAY)
    canvas.draw.line((left, bottom, left + PLOT, top), GRAY)
    for i in range(number):
        start, end = left + i * PLOT // number + 1, left + (i + 1) * PLOT // number - 2
        if counts[i]:
            accuracy = calibration.correct[i] / counts[i]
            confidence = calibration.confidence_sums[i] / counts[i]
            canvas.draw.rectangle((start, bottom - round(accuracy * PLOT), end, bottom), BLUE)
            y = bottom - round(confidence * PLOT)
            canvas.draw.line((start, y, end, y), RED, 3)
        share = counts[i] / total
        canvas.draw.rectangle((start, floor - round(share * bars), end, floor), GRAY)
    canvas.draw.line((left, bottom, left + PLOT, bottom), BLACK)
    canvas.draw.line((left, floor, left + PLOT, floor), BLACK)
    canvas.vertical_text(MARGIN + 4, top + PLOT // 2 + 36, "accuracy", TEXT)
    canvas.vertical_text(MARGIN + 4, floor - bars // 2 + 28, "images", TEXT)
    canvas.text(left + PLOT / 2, floor + 34, "confidence", TEXT)
    return canvas.array()


def draw_grid(
    images: Sequence[np.ndarray], captions: Sequence[Sequence[str]], columns: int = 5
) -> np.ndarray:
    """Draw images in rows, with lines of text under each.

    Args:
        images: uint8, shape (H, W) or (H, W, 3); at least one.
        captions: Lines under each image.
        columns: Images per row.
    """
    lines = max(map(len, captions))
    rows, columns = math.ceil(len(images) / columns), min(columns, len(images))
    height = CELL + lines * CAPTION
    canvas = Canvas(columns * CELL + MARGIN, rows * height + MARGIN)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(i, columns)
        x, y = MARGIN // 2 + column * CELL, MARGIN // 2 + row * height
        pixels = enlarged(image, CELL - 8)
        canvas.paste(pixels, x + (CELL - pixels.shape[1]) // 2, y + (CELL - pixels.shape[0]) // 2)
        for line, text in enumerate(caption):
            canvas.text(x + CELL / 2, y + CELL + CAPTION * (line + 0.4), text, TEXT)
    return canvas.array()

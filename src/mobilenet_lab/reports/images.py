"""Images inside a page, as data URLs of PNG files."""

import base64
import io

import numpy as np
from PIL import Image

from mobilenet_lab.runs.quality import reduce_cells

MAX_SIDE = 96  # pixels of an image; larger ones are reduced
LEVELS = 127  # of opacity, per color
CORRECT, WRONG = (38, 121, 209), (217, 45, 32)


def image_url(image: np.ndarray) -> str:
    """Return an image, at most `MAX_SIDE` pixels wide and high; colors are reduced to 256.

    Args:
        image: uint8, shape (H, W) or (H, W, 3).
    """
    small = Image.fromarray(np.ascontiguousarray(image))
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return _png_url(small.quantize() if small.mode == "RGB" else small)


def confusion_url(confusion: np.ndarray) -> str:
    """Return a confusion matrix of many classes, a pixel per cell, transparent where it is zero.

    Correct predictions are blue and errors red; the opacity is the square root of the fraction of the true
    class, so that rare errors are visible.

    Args:
        confusion: Counts, shape (C, C).
    """
    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    levels = np.ceil(LEVELS * np.sqrt(confusion / totals)).astype(np.uint8)
    wrong = ~np.eye(len(confusion), dtype=bool)
    cells = np.where(wrong & (levels > 0), levels + LEVELS, levels)
    image = Image.fromarray(reduce_cells(cells, np.maximum))  # the maximum, so that no error disappears
    image.putpalette([*CORRECT] * (LEVELS + 1) + [*WRONG] * LEVELS)
    alphas = [round(255 * level / LEVELS) for level in range(LEVELS + 1)]
    return _png_url(image, transparency=bytes(alphas + alphas[1:]))


def _png_url(image: Image.Image, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, **options)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

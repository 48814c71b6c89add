"""Draw text with Pillow: a hundred times as fast as a plot, and without importing matplotlib."""

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mobilenet_lab.runs.class_labels import shortened
from mobilenet_lab.runtime.text import printable

BLACK, WHITE, GRAY, LIGHT = (0, 0, 0), (255, 255, 255), (110, 110, 110), (225, 225, 225)
BLUE, RED = (31, 119, 180), (214, 39, 40)
MISSING = "\U0010ffff"  # in no font

Color = tuple[int, int, int]


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, without importing matplotlib.

    Args:
        size: Size in pixels.
    """
    found = importlib.util.find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return ImageFont.truetype(Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", size)


def label_of(name: str, number: int, columns: int) -> str:
    """Return a class name of at most some columns, or its number if the font lacks one of its characters."""
    text = shortened(printable(name), columns)
    return text if all(map(_is_in_font, text)) else f"#{number}"


class Canvas:
    """An image to draw on.

    Args:
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), WHITE)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, text: str, size: int, color: Color = BLACK, anchor: str = "mm"
    ) -> None:
        """Write a line of text; `anchor` is Pillow's, by default the middle of the text."""
        self.draw.text((x, y), text, color, font(size), anchor)

    def vertical_text(self, x: int, y: int, text: str, size: int, color: Color = BLACK) -> None:
        """Write a line of text from bottom to top; (x, y) is the middle of its start."""
        width, height = round(font(size).getlength(text)) + 2, 2 * size
        line = Image.new("RGB", (width, height), WHITE)
        ImageDraw.Draw(line).text((0, size), text, color, font(size), "lm")
        self.image.paste(line.rotate(90, expand=True), (x - size, y - width))

    def paste(self, pixels: np.ndarray, x: int, y: int) -> None:
        """Paste an image, uint8, shape (H, W) or (H, W, 3)."""
        self.image.paste(Image.fromarray(pixels), (x, y))

    def array(self) -> np.ndarray:
        """Return the image, uint8, shape (height, width, 3)."""
        return np.asarray(self.image)


def enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return an image with sides of about `side` pixels: whole pixels if it grows, and averages if not."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        whole = int(factor)
        return pixels.repeat(whole, axis=0).repeat(whole, axis=1)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def text_width(texts: Sequence[str], size: int) -> int:
    """Return the width in pixels of the widest text."""
    return max((round(font(size).getlength(text)) for text in texts), default=0)


@functools.cache
def _is_in_font(character: str) -> bool:
    return bytes(font(12).getmask(character)) != bytes(font(12).getmask(MISSING))

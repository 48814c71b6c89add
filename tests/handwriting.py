"""Photos of digits written with a dark pen on white paper, drawn with the fonts of matplotlib."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(mpl.get_data_path()) / "fonts/ttf"


def draw_digit(
    digit: int,
    font: str,
    size: tuple[int, int] = (300, 400),
    height: int = 150,
    place: tuple[int, int] = (30, 200),
    ink: int = 40,
    paper: int = 230,
) -> Image.Image:
    """Draw a digit off the center of a larger gray image, with noise and uneven light."""
    image = Image.new("L", size, paper)
    face = ImageFont.truetype(str(FONTS / font), height)
    ImageDraw.Draw(image).text(place, str(digit), fill=ink, font=face)
    pixels = np.asarray(image).astype(float)
    pixels += np.random.default_rng(digit).normal(0, 6, pixels.shape) + np.linspace(0, -30, size[0])
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

"""Convert a photo or drawing of a digit to MNIST's style, by the steps with which MNIST was made.

These are (LeCun et al. 1998, http://yann.lecun.com/exdb/mnist): bright ink on black, fitted into 20 x 20
pixels at the same aspect ratio, antialiased, and centered by mass in 28 x 28 pixels.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

SIDE = 28
BOX = 20  # longer side of the ink
CENTER = 14.0  # row and column of the center of mass
MAX_OFFSET = 0.52  # from it, because digits are moved by whole pixels
POSITIONS = np.arange(SIDE)
STROKE_SIDE = 4 * BOX  # longer side of the ink while strokes are measured and thickened
MIN_STROKE = 6.0  # width at STROKE_SIDE; thin strokes in MNIST are about 1.5 of 20 pixels wide
NO_DIGIT = "no digit"
SEVERAL_DIGITS = "several digits"


@dataclass(frozen=True)
class PreparedDigit:
    """A digit in MNIST's style.

    Attributes:
        pixels: uint8, shape (28, 28), bright ink on black; all black if no digit was found.
        problem: None, "no digit" or "several digits". The largest of several digits is in `pixels`.
    """

    pixels: np.ndarray
    problem: str | None = None


def is_mnist_style(pixels: np.ndarray) -> bool:
    """Return whether an image already has MNIST's style.

    It does if it has 28 x 28 pixels, and ink on a background of exactly zero that fits into 20 x 20 pixels
    and is centered by mass.

    Args:
        pixels: Grayscale, uint8, shape (H, W).
    """
    if pixels.shape != (SIDE, SIDE) or pixels.max() <= 127:
        return False
    rows, columns = _sums(pixels)
    inked_rows, inked_columns = rows.nonzero()[0], columns.nonzero()[0]
    side = max(inked_rows[-1] - inked_rows[0], inked_columns[-1] - inked_columns[0]) + 1
    if side not in (BOX - 1, BOX):
        return False
    return max(abs(position - CENTER) for position in _center_of_mass(rows, columns)) <= MAX_OFFSET


def prepare_digit(image: Image.Image) -> PreparedDigit:
    """Convert an image of one digit to MNIST's style.

    Args:
        image: Mode "L" or "RGB", any size. The digit is anywhere, darker or brighter than what is around it
            or of another color. Shadows, lines and the edges of the paper are removed.

    Returns:
        The digit, and whether there is none or more than one.
    """
    pixels = np.asarray(image)
    if is_mnist_style(pixels):
        return PreparedDigit(pixels.copy())
    from mobilenet_lab.data.transforms.digit_finder import find_digit  # OpenCV takes 0.1 s to import

    found = find_digit(pixels)
    if found is None:
        return PreparedDigit(np.zeros((SIDE, SIDE), np.uint8), NO_DIGIT)
    return PreparedDigit(to_mnist_style(found.ink), SEVERAL_DIGITS if found.has_neighbors else None)


def to_mnist_style(ink: np.ndarray) -> np.ndarray:
    """Convert the ink of a digit to MNIST's style.

    Args:
        ink: uint8, shape (H, W), cropped to the digit, from 0 for paper to 255.

    Returns:
        uint8, shape (28, 28), bright ink on black.
    """
    strokes = _thicken(_resize_longer_side(ink, STROKE_SIDE))
    return _center_by_mass(_resize_longer_side(strokes, BOX))


def mean_stroke_width(ink: np.ndarray) -> float:
    """Return the mean width of strokes in pixels: the area of a stroke is half its outline times that."""
    inked = np.pad(ink > 127, 1)
    outline = np.count_nonzero(inked[:, 1:] != inked[:, :-1]) + np.count_nonzero(inked[1:] != inked[:-1])
    # An outline counted along the axes is 4 / pi times too long on average.
    return 2 * np.count_nonzero(inked) / max(1.0, outline * np.pi / 4)


def crop_to_ink(ink: np.ndarray) -> np.ndarray:
    """Return the part of an image, uint8 of shape (H, W), that has ink; empty if there is none."""
    rows, columns = (np.flatnonzero((ink > 127).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return ink[:0, :0]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resize_longer_side(pixels: np.ndarray, side: int) -> np.ndarray:
    ratio = side / max(pixels.shape)
    height, width = (max(1, round(n * ratio)) for n in pixels.shape)
    resample = Image.Resampling.BOX if ratio < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((width, height), resample))


def _thicken(ink: np.ndarray) -> np.ndarray:
    """Widen thin strokes, which would fade in 20 pixels, after stretching the brightest ink to 255."""
    canvas = np.pad(ink, int(MIN_STROKE))
    canvas = (canvas.astype(np.float32) * (255 / max(int(canvas.max()), 1))).astype(np.uint8)
    for _ in range(int(MIN_STROKE / 2)):
        if mean_stroke_width(canvas) >= MIN_STROKE:
            break
        canvas = np.asarray(Image.fromarray(canvas).filter(ImageFilter.MaxFilter(3)))
    return crop_to_ink(canvas)


def _sums(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of each row and of each column."""
    return ink.sum(axis=1, dtype=np.int64), ink.sum(axis=0, dtype=np.int64)


def _center_of_mass(rows: np.ndarray, columns: np.ndarray) -> tuple[float, float]:
    """Return y and x of the center of mass in pixels, from the sums of at most `SIDE` rows and columns."""
    total = max(int(rows.sum()), 1)
    return int(rows @ POSITIONS[: len(rows)]) / total, int(columns @ POSITIONS[: len(columns)]) / total


def _center_by_mass(ink: np.ndarray) -> np.ndarray:
    height, width = ink.shape
    center_y, center_x = _center_of_mass(*_sums(ink))
    top = min(max(round(CENTER - center_y), 0), SIDE - height)
    left = min(max(round(CENTER - center_x), 0), SIDE - width)
    prepared = np.zeros((SIDE, SIDE), np.uint8)
    prepared[top : top + height, left : left + width] = ink
    return prepared

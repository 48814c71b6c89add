"""Scale pixels of more than 8 bits to bytes."""

import logging
import mmap
import sys

import numpy as np
from PIL import Image

from mobilenet_lab.runtime.text import printable

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")
# Cameras store 10, 12 or 14 bits in the low bits of 16: with the white of 16 bits, images would be black.
INTEGER_WHITES = tuple((1 << bits) - 1 for bits in (8, 10, 12, 14, 16))
FLOAT_WHITES = (1, *INTEGER_WHITES)
BITS_USED = "bits_used"  # key of `Image.info`
# Of 16-bit colors, Pillow keeps the high byte. With the bytes swapped, it keeps the low one.
NATIVE, SWAPPED = ("16L", "16B") if sys.byteorder == "little" else ("16B", "16L")
LOW_BYTE = {
    f"{mode};{order}": f"{mode};{other}"
    for mode in ("RGB", "RGBA")
    for order, other in ((NATIVE, SWAPPED), (SWAPPED, NATIVE), ("16N", SWAPPED))
}

log = logging.getLogger(__name__)
# A byte that forked worker processes share, so that all of them together say it once
_was_said = mmap.mmap(-1, 1)


def deep_image_to_bytes(image: Image.Image) -> Image.Image:
    """Convert an image in one of `DEEP_MODES` to mode "L".

    If its pixels use only some bits of their type, `info` of the new image says how many.
    """
    values = np.asarray(image)
    white = white_level(values, FLOAT_WHITES if image.mode == "F" else INTEGER_WHITES)
    converted = Image.fromarray(scale_to_bytes(values, white))
    _note_bits_used(converted, white)
    return converted


def low_byte_mode(image: Image.Image) -> str | None:
    """Return the raw mode that decodes the low byte of an image with 16-bit colors; None for other images.

    Args:
        image: Opened, but not decoded.
    """
    tiles = getattr(image, "tile", None)
    if not tiles:
        return None
    arguments = tiles[0].args
    return LOW_BYTE.get(arguments[0] if isinstance(arguments, tuple) else arguments)


def has_dark_high_bytes(image: Image.Image) -> bool:
    """Return whether an image with 16-bit colors uses at most 14 bits: its high bytes are not enough."""
    return bool(np.asarray(image)[..., :3].max() <= INTEGER_WHITES[-2] >> 8)


def add_low_bytes(image: Image.Image, opened: Image.Image, mode: str) -> None:
    """Scale an image with 16-bit colors by the bits that it uses.

    Args:
        image: The high bytes, mode "RGB" or "RGBA"; changed in place. Alpha stays as it is.
        opened: The same file, opened again and not decoded.
        mode: Its `low_byte_mode`.
    """
    opened.tile = [  # type: ignore[attr-defined]
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
        for tile in opened.tile  # type: ignore[attr-defined]
    ]
    high, low = np.asarray(image), np.asarray(opened)
    values = (high[..., :3].astype(np.uint16) << 8) | low[..., :3]
    white = white_level(values, INTEGER_WHITES)
    image.paste(Image.fromarray(np.dstack([scale_to_bytes(values, white), high[..., 3:]])))
    _note_bits_used(image, white)


def _note_bits_used(image: Image.Image, white: float) -> None:
    if INTEGER_WHITES[0] < white < INTEGER_WHITES[-1]:
        image.info[BITS_USED] = int(white).bit_length()


def log_bits_used(image: Image.Image, name: str) -> None:
    """Log once that images do not use the range of their type; see `deep_image_to_bytes`."""
    if BITS_USED in image.info and not _was_said[0]:
        _was_said[0] = 1
        log.warning(
            "%s: uses %d of 16 bits per pixel; such images are scaled by the bits that they use",
            printable(name),
            image.info[BITS_USED],
        )


def white_level(values: np.ndarray, whites: tuple[int, ...]) -> float:
    """Return the lowest of the ascending `whites` that no pixel exceeds, or else the brightest pixel.

    Args:
        values: Any shape and number type; values that are not finite do not count.
        whites: Values that may be white.
    """
    brightest = float(np.max(values, initial=0, where=np.isfinite(values)))
    return next((white for white in whites if brightest <= white), brightest)


def scale_to_bytes(values: np.ndarray, white: float) -> np.ndarray:
    """Scale values from 0 to `white` to 0 to 255, and clip the others.

    Args:
        values: Any number type, shape (H, ...).
        white: The value that becomes 255; NaN becomes 0.

    Returns:
        uint8, the shape of `values`.
    """
    scaled = np.empty(values.shape, np.uint8)
    with np.errstate(invalid="ignore"):  # signaling NaNs warn when they are converted
        for row, target in zip(values, scaled, strict=True):  # all rows at once would take 24 bytes per pixel
            target[:] = np.nan_to_num(row.astype(np.float64), posinf=white).clip(0, white) * (255 / white)
    return scaled

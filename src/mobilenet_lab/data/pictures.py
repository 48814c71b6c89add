"""Decode one picture file: any size, any mode, any rotation, to grey or RGB bytes.

Training on a folder and prediction use the same functions, so both see the same pixels.
"""

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mobilenet_lab.errors import InputError

MODES = {1: "L", 3: "RGB"}
FITS = ("crop", "pad", "stretch")
INTEGER_MODES = ("I", "I;16", "I;16B", "I;16L")


def open_picture(file: Path | IO[bytes], name: str | None = None) -> Image.Image:
    """Decode a picture and turn it upright, as grey ("L") or colour ("RGB").

    Deeper pixels are scaled to 8 bits. Transparent parts show white, or black where what is
    visible is mostly bright.

    Args:
        file: A path, or an open file.
        name: How messages call it; the path by default.

    Raises:
        InputError: it cannot be read, or is no picture.
    """
    try:
        with Image.open(file) as picture:
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's decoders raise SyntaxError and ValueError, too, for damaged files.
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(f"{name or file}: {reason}") from error
    if picture.mode in INTEGER_MODES:
        return _to_bytes(np.asarray(picture).astype(np.float64), white_levels=(255, 65_535))
    if picture.mode == "F":
        return _to_bytes(np.asarray(picture).astype(np.float64), white_levels=(1, 255, 65_535))
    if picture.has_transparency_data:
        return _on_background(picture.convert("RGBA"))
    return _in_mode("L" if picture.mode in ("1", "L") else "RGB", picture)


def fit_picture(picture: Image.Image, size: int, channels: int, fit: str) -> np.ndarray:
    """Bring a picture to a square of bytes.

    Args:
        picture: Of any size and mode.
        size: Pixels of the square's side.
        channels: 1 for grey (ITU-R 601 luma), 3 for RGB.
        fit: "crop" fills the square and cuts off what is left, "pad" shows all of it on black,
            "stretch" ignores the proportions.

    Returns:
        uint8, shape (channels, size, size).
    """
    picture = _in_mode(MODES[channels], picture)
    if picture.size != (size, size):
        if fit == "crop":
            picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
        elif fit == "pad":
            picture = ImageOps.pad(picture, (size, size), Image.Resampling.BILINEAR)
        elif fit == "stretch":
            picture = picture.resize((size, size), Image.Resampling.BILINEAR)
        else:
            raise InputError(f"fit={fit}: must be one of {', '.join(FITS)}")
    return np.array(picture).reshape(size, size, channels).transpose(2, 0, 1)


def _in_mode(mode: str, picture: Image.Image) -> Image.Image:
    """Convert where needed; Pillow would copy a picture that has the mode already."""
    return picture if picture.mode == mode else picture.convert(mode)


def _to_bytes(values: np.ndarray, white_levels: tuple[int, ...]) -> Image.Image:
    """Scale by the lowest usual white level that no pixel exceeds, else by the brightest pixel."""
    brightest = float(values.max(initial=0))
    white = next((level for level in white_levels if brightest <= level), brightest)
    return Image.fromarray((values.clip(0) * (255 / white)).astype(np.uint8))


def _on_background(picture: Image.Image) -> Image.Image:
    grey, alpha = np.asarray(picture.convert("RGB").convert("L")), np.asarray(picture.getchannel("A"))
    visible = grey[alpha > 127]
    is_bright = visible.size and visible.mean() > 127 and alpha.min() < 128
    background = Image.new("RGBA", picture.size, "black" if is_bright else "white")
    return Image.alpha_composite(background, picture).convert("RGB")

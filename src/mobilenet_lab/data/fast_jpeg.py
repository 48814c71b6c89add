"""Decode JPEG files with the optional package simplejpeg, and resize them with PyTorch.

The decoded pixels are those of Pillow, since both use libjpeg-turbo. PyTorch's antialiased resizing takes
less than half of Pillow's time, and rounds about one in a thousand bytes to the neighboring value.
"""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from mobilenet_lab.data.image_metadata import DAMAGE, JPEG_START, orientation_of
from mobilenet_lab.data.images import MAX_PIXELS, check_file, reduction, resize_to_square
from mobilenet_lab.data.resize_modes import center_offset
from mobilenet_lab.runtime.errors import InputError

COLORS = ("YCbCr", "Gray", "RGB")
ORIENTATIONS = (b"Exif\0\0", b"tiff:Orientation")  # in EXIF and XMP metadata


def check_installed() -> None:
    """Refuse the decoder if its package is missing.

    Raises:
        InputError: It is not installed.
    """
    if find_spec("simplejpeg") is None:
        raise InputError(
            "data.source.decoder=simplejpeg: the package is not installed; install it with pip install -e "
            '".[jpeg]", or use data.source.decoder=pillow'
        )


def versions(decoder: str) -> list[str]:
    """Return the versions of the packages that a decoder needs beyond Pillow."""
    if decoder != "simplejpeg":
        return []
    import simplejpeg

    return [simplejpeg.__version__, torch.__version__]


def read_square(path: Path, size: int, channels: int, fit: str) -> np.ndarray | None:
    """Read a JPEG file as a square; see `images.resize_to_square`.

    Returns:
        uint8, shape (channels, size, size); None for every file that Pillow has to read or refuse: other
        formats, CMYK, too many pixels, damaged files.
    """
    try:
        check_file(path, str(path))
        content = path.read_bytes()
        pixels = _decode(content, size) if content.startswith(JPEG_START) else None
    except (InputError, *DAMAGE):
        return None
    if pixels is None:
        return None
    short, long = sorted(pixels.shape[:2])
    if channels == 3 and fit != "pad" and size * size * long <= MAX_PIXELS * short:
        return _resize(pixels, size, fit)
    return resize_to_square(Image.fromarray(pixels), size, channels, fit)


def _decode(content: bytes, size: int) -> np.ndarray | None:
    """Decode an upright image: uint8, shape (H, W, 3)."""
    import simplejpeg

    height, width, colors, _ = simplejpeg.decode_jpeg_header(content)
    if colors not in COLORS or width * height > MAX_PIXELS:
        return None
    divisor = reduction(width, height, size)
    pixels = simplejpeg.decode_jpeg(
        content, "RGB", min_height=-(-height // divisor), min_width=-(-width // divisor), min_factor=1
    )
    if not any(mark in content for mark in ORIENTATIONS):
        return pixels
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        orientation = orientation_of(image)
    return _upright(pixels, orientation)


def _upright(pixels: np.ndarray, orientation: int | None) -> np.ndarray:
    """Turn pixels of shape (H, W, 3) as their EXIF orientation says."""
    if orientation in (5, 6, 7, 8):  # stored as columns
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _resize(pixels: np.ndarray, size: int, fit: str) -> np.ndarray:
    """Resize with antialiased bilinear interpolation: uint8, (H, W, 3) to (3, size, size)."""
    height, width = pixels.shape[:2]
    target, top, left = (size, size), 0, 0
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # (1, 3, H, W)
    if fit == "crop":
        target = (size, int(size * width / height)) if height <= width else (int(size * height / width), size)
        top, left = (center_offset(side, size) for side in target)
    resized = interpolate(images, target, mode="bilinear", antialias=True)[0]
    return resized[:, top : top + size, left : left + size].numpy()

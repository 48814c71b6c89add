"""Decode one image file of any size, mode and orientation to grayscale or RGB bytes.

Training on a folder and prediction share these functions, so both see the same pixels. Files may come from
anyone: they are decoded or refused within a bounded amount of memory.
"""

import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from mobilenet_lab.data.image_depth import (
    DEEP_MODES,
    add_low_bytes,
    deep_image_to_bytes,
    has_dark_high_bytes,
    low_byte_mode,
)
from mobilenet_lab.data.image_formats import open_image
from mobilenet_lab.data.image_metadata import DAMAGE, upright, without_metadata
from mobilenet_lab.data.resize_modes import center_offset
from mobilenet_lab.runtime.errors import MACHINE_ERRNOS, InputError
from mobilenet_lab.runtime.text import printable

MAX_PIXELS = 1 << 26  # 67 million, or 8192 x 8192; decoding takes up to 31 bytes per pixel, 2 GiB
MAX_BYTES = 8 * MAX_PIXELS  # of a file: four uncompressed channels of 16 bits

MODES = {1: "L", 3: "RGB"}
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF 6.0

BILINEAR = Image.Resampling.BILINEAR


def resize_and_crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize the shorter side with antialiased bilinear interpolation, and crop the center.

    The pixels are those of torchvision's `Resize` and `CenterCrop`. Only images that are so long that the
    resized image would exceed `MAX_PIXELS` are cropped first, which changes bytes by at most 1.

    Args:
        image: Any size.
        size: Width and height of the result, which are equal.
    """
    side, short, long = size[0], min(image.size), max(image.size)
    length = int(side * long / short)
    if side * length > MAX_PIXELS:
        left, top = ((full - short) / 2 for full in image.size)
        return image.resize(size, BILINEAR, box=(left, top, left + short, top + short))
    start = center_offset(length, side)
    if image.width == short:
        return image.resize((side, length), BILINEAR).crop((0, start, side, start + side))
    # Pillow resizes rows before columns, so columns that are cut off need not be resized.
    rows = image.resize((length, short), BILINEAR).crop((start, 0, start + side, short))
    return rows.resize(size, BILINEAR)


def resize_and_pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize the longer side, and center the image on black.

    The pixels are those of Pillow's `ImageOps.pad`, but an image of any length keeps at least one row.
    """
    width, height = image.size
    resized_size = (
        size[0] if width >= height else max(1, round(width / height * size[0])),
        size[1] if height >= width else max(1, round(height / width * size[1])),
    )
    resized = image.resize(resized_size, BILINEAR)
    square = Image.new(image.mode, size)
    offset = [round((full - length) * 0.5) for full, length in zip(size, resized.size, strict=True)]
    square.paste(resized, (offset[0], offset[1]))
    return square


FITS: dict[str, Callable[[Image.Image, tuple[int, int]], Image.Image]] = {
    "crop": resize_and_crop,
    "pad": resize_and_pad,
    "stretch": partial(Image.Image.resize, resample=BILINEAR),
}


class MachineError(InputError):
    """An image could not be read because of the machine, not because of the file."""


def load_image(file: Path | IO[bytes], name: str | None = None, for_size: int | None = None) -> Image.Image:
    """Decode an image, upright, in grayscale (mode "L") or color (mode "RGB").

    Deeper pixels are scaled to 8 bits. Transparent areas become white, or black if the visible pixels are
    mostly bright. Only the first frame of an animation is read.

    Args:
        file: A path or an open file.
        name: Name for error messages; the path by default.
        for_size: Side of the square that the image will be resized to. Large JPEG files are decoded at a
            fraction of their size, see `reduction`. None decodes all pixels.

    Raises:
        InputError: The file cannot be read, is not an image, or has more than `MAX_PIXELS` pixels.
    """
    with without_pillow_warnings():
        return decode(file, printable(str(name or file)), for_size)


def reduction(width: int, height: int, size: int) -> int:
    """Return by what to divide the sides of a JPEG image when it is decoded: 1, 2, 4 or 8.

    Its sides remain at least twice as long as those of the square that it will be resized to.
    """
    largest = min(width, height) // (2 * size)
    return next((divisor for divisor in (8, 4, 2) if divisor <= largest), 1)


def to_gray_or_rgb(image: Image.Image) -> Image.Image:
    """Turn a decoded image upright and convert it to mode "L" or "RGB"; see `load_image`.

    An image that needs no change is returned as it is.
    """
    image = upright(image)
    if image.mode in DEEP_MODES:
        return deep_image_to_bytes(image)
    if image.has_transparency_data:
        return _on_background(image.convert("RGBA"))
    return _in_mode("L" if image.mode in ("1", "L") else "RGB", image)


def resize_to_square(image: Image.Image, size: int, channels: int, fit: str) -> np.ndarray:
    """Convert an image to a square of bytes.

    Args:
        image: Any size and mode.
        size: Side of the square in pixels.
        channels: 1 for grayscale (ITU-R 601 luma), 3 for RGB.
        fit: "crop" resizes the shorter side and crops the center, "pad" shows the whole image on black,
            "stretch" ignores the aspect ratio.

    Returns:
        uint8, shape (channels, size, size).
    """
    image = _in_mode(MODES[channels], image)
    if image.size != (size, size):
        image = FITS[fit](image, (size, size))
    return np.array(image).reshape(size, size, channels).transpose(2, 0, 1)


def check_file(path: Path, name: str) -> None:
    """Refuse what is not a file of a reasonable size, without opening it.

    Raises:
        InputError: The path leads to something else.
        OSError: It cannot be looked up.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe could block forever
        raise InputError(f"{name}: is {describe_kind(status.st_mode)}, not a file")
    if status.st_size > MAX_BYTES:
        raise InputError(f"{name}: has {status.st_size:,} bytes; reduce it to at most {MAX_BYTES:,}")


def decode(file: Path | IO[bytes], name: str, for_size: int | None = None) -> Image.Image:
    """Do the work of `load_image`, within `without_pillow_warnings`."""
    try:
        if isinstance(file, Path):
            check_file(file, name)
        # Given a path, Pillow would leave the file open after an error in its first bytes.
        opened = file.open("rb") if isinstance(file, Path) else nullcontext(file)
        with opened as stream:
            try:
                return _decode_stream(stream, name, for_size)
            except DAMAGE:
                if (pixels := without_metadata(stream)) is None:
                    raise
                return _decode_stream(pixels, name, for_size)
    except InputError:
        raise
    except DAMAGE as error:
        kind = MachineError if getattr(error, "errno", None) in MACHINE_ERRNOS else InputError
        raise kind(f"{name}: {_reason(error)}") from error


def _decode_stream(stream: IO[bytes], name: str, for_size: int | None) -> Image.Image:
    with open_image(stream, name) as image:
        if (num_pixels := max(image.width * image.height, _tile_pixels(image))) > MAX_PIXELS:
            raise InputError(f"{name}: has {num_pixels:,} pixels; reduce it to at most {MAX_PIXELS:,}")
        if for_size is not None and (divisor := reduction(*image.size, for_size)) > 1:
            image.draft(None, (image.width // divisor, image.height // divisor))  # does nothing if not JPEG
        low_bytes = low_byte_mode(image)
        image.load()
        if low_bytes is not None and has_dark_high_bytes(image):
            stream.seek(0)
            with open_image(stream, name) as again:
                add_low_bytes(image, again, low_bytes)
        return to_gray_or_rgb(image)


def describe_kind(mode: int) -> str:
    """Return what a path with this `st_mode` is, with an article."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")


def _tile_pixels(image: Image.Image) -> int:
    """Return the size of a TIFF's tiles, which may exceed the image and are decoded as a whole."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(TILE_WIDTH, 1) * tags.get(TILE_LENGTH, 1))


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):  # Pillow checks its own limit first, which is higher
        return f"has too many pixels; at most {MAX_PIXELS:,} are decoded"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split()) or type(error).__name__
    return f"damaged image: {printable(words)[:200]}"


@contextmanager
def without_pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings, which are about files that are refused here or harmless."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    """Convert if needed; Pillow would copy an image that already has the mode."""
    return image if image.mode == mode else image.convert(mode)


def _on_background(image: Image.Image) -> Image.Image:
    gray, alpha = np.asarray(image.convert("RGB").convert("L")), np.asarray(image.getchannel("A"))
    visible = gray[alpha > 127]
    is_bright = visible.size and visible.mean() > 127 and alpha.min() < 128
    background = Image.new("RGBA", image.size, "black" if is_bright else "white")
    return Image.alpha_composite(background, image).convert("RGB")

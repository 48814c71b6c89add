"""Decode one image file: any size, any mode, any rotation, to grey or RGB bytes.

Training on a folder and prediction use the same functions, so both see the same pixels. Files may be
anyone's: whatever is in them, they are decoded or refused, in a bounded amount of memory.
"""

import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mobilenet_lab.runtime.errors import MACHINE_ERRNOS, InputError

MODES = {1: "L", 3: "RGB"}


FITS = ("crop", "pad", "stretch")


INTEGER_MODES = ("I", "I;16", "I;16B", "I;16L")


# Of the formats that Pillow reads; for PostScript, it would run another program.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")


MAX_PIXELS = 1 << 26  # 67 million, 8192 x 8192; decoding takes up to 31 bytes each, 2 GiB


TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF 6.0


MAX_BYTES = 8 * MAX_PIXELS  # of a file: four channels of 16 bits, not packed


MAX_THREADS = 8  # that decode at once, each in a memory of its own


CHUNK = 1024  # files waiting for them


# What Pillow raises for damaged files: the first four mostly, others where a decoder trusts what it reads
DAMAGE = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class MachineError(InputError):
    """A image could not be read, for a reason that lies in the machine and not in the file."""


def load_image(file: Path | IO[bytes], name: str | None = None) -> Image.Image:
    """Decode a image and turn it upright, as grey ("L") or colour ("RGB").

    Deeper pixels are scaled to 8 bits. Transparent parts show white, or black where what is
    visible is mostly bright. Of several frames, the first counts.

    Args:
        file: A path, or an open file.
        name: How messages call it; the path by default.

    Raises:
        InputError: it cannot be read, is no image of `FORMATS`, or has more than `MAX_PIXELS` pixels.
    """
    with _without_warnings():
        return _decode(file, printable(str(name or file)))


def find_corrupt_images(paths: Sequence[Path]) -> Iterator[InputError | None]:
    """Decode every file, several at a time, and say of each in order why it cannot be decoded, if so.

    Nothing short of decoding tells: a truncated file has a sound header.

    Raises:
        MachineError: the machine failed, so that the next attempt might tell otherwise.
    """

    def attempt(path: Path) -> InputError | None:
        try:
            _decode(path, printable(str(path)))
        except MachineError:
            raise
        except InputError as error:
            return error
        return None

    # Pillow decodes without the interpreter's lock.
    with _without_warnings(), ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), CHUNK):
            yield from pool.map(attempt, paths[start : start + CHUNK])


def printable(name: str) -> str:
    """A file's name with what would break a line, or cannot be written, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _decode(file: Path | IO[bytes], name: str) -> Image.Image:
    try:
        if isinstance(file, Path):
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would make us wait for ever
                raise InputError(f"{name}: not a file")
            if status.st_size > MAX_BYTES:
                raise InputError(f"{name}: has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
        # Pillow would leave a file open where its first bytes cannot be read.
        opened = file.open("rb") if isinstance(file, Path) else nullcontext(file)
        with opened as stream, Image.open(stream, formats=FORMATS) as image:
            if (num_pixels := max(image.width * image.height, _tile_pixels(image))) > MAX_PIXELS:
                raise InputError(f"{name}: has {num_pixels:,} pixels; at most {MAX_PIXELS:,} are decoded")
            image.load()
            return to_gray_or_rgb(image)
    except InputError:
        raise
    except DAMAGE as error:
        reason = _reason(error)
        kind = MachineError if getattr(error, "errno", None) in MACHINE_ERRNOS else InputError
        raise kind(f"{name}: {reason}") from error


def to_gray_or_rgb(image: Image.Image) -> Image.Image:
    """Turn a decoded image upright and bring it to mode "L" or "RGB"; see `load_image`."""
    image = ImageOps.exif_transpose(image)
    if image.mode in INTEGER_MODES:
        return _to_bytes(np.asarray(image), white_levels=(255, 65_535))
    if image.mode == "F":
        return _to_bytes(np.asarray(image), white_levels=(1, 255, 65_535))
    if image.has_transparency_data:
        return _on_background(image.convert("RGBA"))
    return _in_mode("L" if image.mode in ("1", "L") else "RGB", image)


def _tile_pixels(image: Image.Image) -> int:
    """Of a TIFF's tiles, which may be larger than the image and are decoded whole."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(TILE_WIDTH, 1) * tags.get(TILE_LENGTH, 1))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a image"
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own limit comes first, and is higher
        return f"has too many pixels; at most {MAX_PIXELS:,} are decoded"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split()) or type(error).__name__
    return f"damaged image: {printable(words)[:200]}"


@contextmanager
def _without_warnings() -> Iterator[None]:
    """What Pillow warns of is refused here or harmless; several threads may do so at once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def resize_to_square(image: Image.Image, size: int, channels: int, fit: str) -> np.ndarray:
    """Bring a image to a square of bytes.

    Args:
        image: Of any size and mode.
        size: Pixels of the square's side.
        channels: 1 for grey (ITU-R 601 luma), 3 for RGB.
        fit: "crop" fills the square and cuts off what is left, "pad" shows all of it on black,
            "stretch" ignores the proportions.

    Returns:
        uint8, shape (channels, size, size).
    """
    image = _in_mode(MODES[channels], image)
    if image.size != (size, size):
        if fit == "crop":
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        elif fit == "pad":
            image = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR)
        elif fit == "stretch":
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        else:
            raise InputError(f"fit={fit}: must be one of {', '.join(FITS)}")
    return np.array(image).reshape(size, size, channels).transpose(2, 0, 1)


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    """Convert where needed; Pillow would copy a image that has the mode already."""
    return image if image.mode == mode else image.convert(mode)


def _to_bytes(values: np.ndarray, white_levels: tuple[int, ...]) -> Image.Image:
    """Scale by the lowest usual white level that no pixel exceeds, else by the brightest pixel."""
    brightest = float(np.nanmax(values, initial=0, where=np.isfinite(values)))
    white = next((level for level in white_levels if brightest <= level), brightest)
    scaled = np.empty(values.shape, np.uint8)
    with np.errstate(invalid="ignore"):  # of what is no number, some kinds are told of
        for row, target in zip(values, scaled, strict=True):  # all at once would take 24 bytes a pixel
            target[:] = np.nan_to_num(row.astype(np.float64), posinf=white).clip(0, white) * (255 / white)
    return Image.fromarray(scaled)


def _on_background(image: Image.Image) -> Image.Image:
    grey, alpha = np.asarray(image.convert("RGB").convert("L")), np.asarray(image.getchannel("A"))
    visible = grey[alpha > 127]
    is_bright = visible.size and visible.mean() > 127 and alpha.min() < 128
    background = Image.new("RGBA", image.size, "black" if is_bright else "white")
    return Image.alpha_composite(background, image).convert("RGB")

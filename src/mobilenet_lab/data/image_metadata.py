"""Metadata of image files: the orientation, and how to ignore what cannot be read.

Metadata may be damaged where the pixels are intact: some tools cut it or do not know its format.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from PIL import ExifTags, Image

# What Pillow raises for damaged files: mostly the first four, the others if a decoder trusts what it reads.
DAMAGE = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)
# How to turn an image upright, by its EXIF orientation
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
PNG_ORIENTATION = b"eXIf"
JPEG_START = b"\xff\xd8"
JPEG_SCAN = 0xDA
JPEG_ORIENTATION, JPEG_COLOR_TRANSFORM = 0xE1, 0xEE  # segments APP1 and APP14
JPEG_METADATA = {*range(0xE0, 0xF0), 0xFE} - {JPEG_ORIENTATION}
LENGTH_OF_COLOR_TRANSFORM = 14


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says; if that cannot be read, return the image as it is."""
    turn = TURNS.get(orientation_of(image) or 0)
    return image if turn is None else image.transpose(turn)


def orientation_of(image: Image.Image) -> int | None:
    """Return the EXIF orientation, 1 to 8 if it is valid; None if there is none that can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGE:
        return None
    return orientation if isinstance(orientation, int) else None


def without_metadata(stream: IO[bytes]) -> IO[bytes] | None:
    """Return a PNG or JPEG file without the metadata that prediction does not use.

    Args:
        stream: An open file.

    Returns:
        The file with its pixels and orientation only, or None if there is nothing to leave out.
    """
    stream.seek(0)
    content = stream.read()
    if content.startswith(PNG_SIGNATURE):
        parts = [PNG_SIGNATURE, *_png_pixels(content)]
    elif content.startswith(JPEG_START):
        parts = [JPEG_START, *_jpeg_pixels(content)]
    else:
        return None
    kept = b"".join(parts)
    return io.BytesIO(kept) if len(kept) < len(content) else None


def _png_pixels(content: bytes) -> Iterator[bytes]:
    position = len(PNG_SIGNATURE)
    while position < len(content):
        length, kind = struct.unpack(">I4s", content[position : position + 8].ljust(8, b"\0"))
        chunk = content[position : position + 12 + length]
        if kind in PNG_PIXELS or (
            kind == PNG_ORIENTATION and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
        ):
            yield chunk
        position += len(chunk)


def _jpeg_pixels(content: bytes) -> Iterator[bytes]:
    position = len(JPEG_START)
    while content[position : position + 1] == b"\xff" and len(content) >= position + 4:
        marker, length = struct.unpack(">BH", content[position + 1 : position + 4])
        if marker == JPEG_SCAN:
            break
        is_usable = marker == JPEG_COLOR_TRANSFORM and length >= LENGTH_OF_COLOR_TRANSFORM
        if marker not in JPEG_METADATA or is_usable:
            yield content[position : position + 2 + length]
        position += 2 + length
    yield content[position:]

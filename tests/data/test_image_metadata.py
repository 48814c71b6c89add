import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from mobilenet_lab.data.images import load_image
from mobilenet_lab.runtime.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
ORIENTATION = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)  # to be shown rotated by 90 degrees clockwise


def encoded(format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, format, **options)  # type: ignore[arg-type]
    return file.getvalue()


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


EXIF = {
    "no header": b"junk",
    "cut header": b"MM\0*\0\0",
    "offset beyond the end": b"MM\0*\0\0\xff\xff",
    "cut entries": b"MM\0*\0\0\0\x08" + struct.pack(">H", 9) + ORIENTATION,
    "cut value": b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHII", 0x011A, 5, 1, 9999),
    "orientation as text": b"MM\0*\0\0\0\x08" + struct.pack(">HHHI4s", 1, 0x0112, 2, 4, b"abc\0") + bytes(4),
    "orientation of 99": b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 1, 0x0112, 3, 1, 99, 0) + bytes(4),
}


@pytest.mark.parametrize("exif", EXIF.values(), ids=EXIF)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_unreadable_exif_is_ignored(format: str, exif: bytes) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    clean = encoded(format, **options)
    if format == "JPEG":
        content = clean[:2] + segment(0xE1, b"Exif\0\0" + exif) + clean[2:]
    elif format == "PNG":
        content = clean[:33] + chunk(b"eXIf", exif) + clean[33:]
    else:
        content = encoded(format, exif=exif, **options)
    image = np.asarray(load_image(io.BytesIO(content), "x"))
    if image.shape != PIXELS.shape:  # the entries are cut after the orientation
        image = np.rot90(image)
    assert np.array_equal(image, np.asarray(load_image(io.BytesIO(clean), "x")))


TEXT = b"zTXt"
PNG_CHUNKS = {
    "wrong checksum": chunk(b"tEXt", b"a\0b", checksum=1),
    "bomb": chunk(TEXT, b"a\0\0" + zlib.compress(bytes(5 << 20))),
    "many bombs": chunk(TEXT, b"a\0\0" + zlib.compress(bytes(1 << 20))) * 65,
    "cut physical size": chunk(b"pHYs", b"1"),
    "unknown profile": chunk(b"iCCP", b"a\0\1x"),
    "animation without frames": chunk(b"acTL", b"1"),
    "metadata that is no hexadecimal number": chunk(
        TEXT, b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 10\nzz\nqq")
    ),
}


@pytest.mark.parametrize("damaged", PNG_CHUNKS.values(), ids=PNG_CHUNKS)
def test_unreadable_chunks_of_a_png_are_ignored(damaged: bytes) -> None:
    clean = encoded("PNG")
    exif = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1" + ORIENTATION + bytes(4))
    content = clean[:33] + damaged + exif + clean[33:]
    assert np.array_equal(load_image(io.BytesIO(content), "x"), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("damaged", [(0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe\0")])
def test_unreadable_segments_of_a_jpeg_are_ignored(damaged: tuple[int, bytes]) -> None:
    clean = encoded("JPEG")
    content = clean[:2] + segment(*damaged) + clean[2:]
    expected = load_image(io.BytesIO(clean), "x")
    assert np.array_equal(load_image(io.BytesIO(content), "x"), expected)


def test_damaged_pixels_are_still_refused() -> None:
    for format in ("PNG", "JPEG"):
        content = encoded(format, exif=b"Exif\0\0junk")
        with pytest.raises(InputError, match=r"(?i)^x: damaged image: .*truncated"):
            load_image(io.BytesIO(content[: len(content) * 3 // 4]), "x")


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("format", ["PNG", "AVIF"])
def test_every_orientation_is_undone(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(format, exif=exif, quality=95)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(load_image(io.BytesIO(content), "x"), expected)

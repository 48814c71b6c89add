import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mobilenet_lab.data import image_depth
from mobilenet_lab.data.images import load_image


def png_of_16_bits(values: np.ndarray) -> bytes:
    """Return a PNG file of 16-bit gray, RGB or RGBA, written from the description of the format."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = values.shape[:2]
    color_type = {1: 0, 3: 2, 4: 6}[values[0, 0].size]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def ramp(bits: int, channels: int) -> np.ndarray:
    """Return values from 0 to the largest of this many bits; shape (8, 8) or (8, 8, 3)."""
    gray = np.linspace(0, (1 << bits) - 1, 64).round().astype(np.uint16).reshape(8, 8)
    return gray if channels == 1 else np.stack([gray, gray.T, gray[::-1]], axis=2)


@pytest.fixture(autouse=True)
def first_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log say it again."""
    monkeypatch.setattr(image_depth, "_was_said", bytearray(1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_white_is_the_largest_value_of_the_bits_in_use(bits: int, channels: int) -> None:
    values = ramp(bits, channels)
    image = load_image(io.BytesIO(png_of_16_bits(values)), "x")
    assert image.mode == ("L" if channels == 1 else "RGB")
    assert np.abs(np.asarray(image) - values / ((1 << bits) - 1) * 255).max() < 1


def test_alpha_of_deep_colors_stays_as_it_is() -> None:
    values = ramp(12, 3)
    opaque = np.dstack([values, np.full((8, 8), 65_535, np.uint16)])
    image = load_image(io.BytesIO(png_of_16_bits(opaque)), "x")
    assert np.abs(np.asarray(image) - values / 4095 * 255).max() < 1
    opaque[0, 0, 3] = 0
    image = load_image(io.BytesIO(png_of_16_bits(opaque)), "x")
    assert image.getpixel((0, 0)) == (0, 0, 0)  # the background of bright pixels
    assert np.abs(np.asarray(image)[1:] - values[1:] / 4095 * 255).max() < 1


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_orientation_of_deep_images_is_followed(format: str) -> None:
    values = ramp(12, 1)
    exif = Image.Exif()
    exif[0x0112] = 3
    file = io.BytesIO()
    Image.fromarray(values).save(file, format, **({} if format == "PPM" else {"exif": exif}))
    upright = np.asarray(load_image(io.BytesIO(file.getvalue()), "x"), int)
    expected = values if format == "PPM" else values[::-1, ::-1]
    assert np.abs(upright - expected / 4095 * 255).max() < 1


def test_deep_tiff_colors_keep_their_low_bits_and_orientation() -> None:
    """Written by hand, since Pillow cannot save 16-bit colors."""
    values = ramp(10, 3)
    pixels = values.astype("<u2").tobytes()
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, 8 + 2 + 12 * 9 + 4), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 8 + 2 + 12 * 9 + 4 + 6), (274, 3, 1, 3), (277, 3, 1, 3), (279, 4, 1, len(pixels))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    content += struct.pack("<HHH", 16, 16, 16) + pixels
    image = np.asarray(load_image(io.BytesIO(content), "x"), int)
    assert np.abs(image - values[::-1, ::-1] / 1023 * 255).max() < 1


def test_float_images_of_a_camera_are_scaled_by_its_bits() -> None:
    file = io.BytesIO()
    Image.fromarray(ramp(12, 1).astype(np.float32)).save(file, "TIFF")
    assert np.asarray(load_image(file, "x")).max() == 255


def test_bits_in_use_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for bits in (8, 16, 12, 10):
        image = load_image(io.BytesIO(png_of_16_bits(ramp(bits, 1))), "x")
        image_depth.log_bits_used(image, f"{bits}\n.png")
    assert caplog.messages == [
        "12\\n.png: uses 12 of 16 bits per pixel; such images are scaled by the bits that they use"
    ]

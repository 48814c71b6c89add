import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mobilenet_lab.data.images import load_image, resize_to_square, to_gray_or_rgb
from mobilenet_lab.runtime.errors import InputError

RED, GREEN = (200, 30, 40), (10, 220, 60)


@pytest.fixture
def half_red(tmp_path: Path) -> Image.Image:
    """Return an image of 6 x 4 pixels, red on the left and green on the right."""
    image = Image.new("RGB", (6, 4), GREEN)
    image.paste(RED, (0, 0, 3, 4))
    return image


def reopened(image: Image.Image, format: str = "PNG", **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return load_image(file, "image")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colors_survive_every_mode(half_red: Image.Image, mode: str) -> None:
    image = half_red.convert(mode, palette=Image.Palette.ADAPTIVE)
    opened = reopened(image, "TIFF")
    assert opened.mode == "RGB"
    assert np.abs(np.asarray(opened, int) - np.asarray(half_red, int)).max() <= 3


@pytest.mark.parametrize("mode", ["L", "1"])
def test_gray_stays_gray(mode: str) -> None:
    opened = reopened(Image.new("L", (3, 2), 255).convert(mode))
    assert opened.mode == "L"
    assert np.asarray(opened).tolist() == [[255] * 3] * 2


def test_transparent_gray_becomes_white() -> None:
    image = Image.new("LA", (2, 1), (0, 255))
    image.putpixel((1, 0), (0, 0))
    assert np.asarray(reopened(image).convert("L")).tolist() == [[0, 255]]


def test_sixteen_bits_are_scaled_to_eight() -> None:
    values = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    opened = reopened(Image.fromarray(values))
    assert np.asarray(opened).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 70_000]], np.int32), [[0, 255]]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [[0, 127, 255]]),
        (np.array([[0.0, 51.0, 255.0]], np.float32), [[0, 51, 255]]),
    ],
)
def test_deep_pixels_are_scaled(values: np.ndarray, expected: list[list[int]]) -> None:
    assert np.asarray(reopened(Image.fromarray(values), "TIFF")).tolist() == expected


def test_transparent_palette_color_becomes_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 0), 1)
    opened = reopened(image, transparency=0)
    assert np.asarray(opened).tolist() == [[[255, 255, 255], [255, 0, 0]]]


def test_transparency_behind_bright_ink_becomes_black() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 1), (255, 255, 255, 255))
    pixels = np.asarray(reopened(image).convert("L"))
    assert pixels[1, 1] == 255
    assert pixels.sum() == 255


def test_exif_rotation_is_undone(half_red: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown rotated by 90 degrees clockwise
    opened = reopened(half_red, exif=exif)
    assert opened.size == (4, 6)
    assert opened.getpixel((0, 0)) == RED
    assert opened.getpixel((0, 5)) == GREEN


def test_upright_image_is_not_copied(half_red: Image.Image) -> None:
    assert to_gray_or_rgb(half_red) is half_red


@pytest.mark.parametrize("contents", [b"", b"no image", b"\x89PNG\r\n\x1a\n half"])
def test_file_without_image_error_names_it(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "x.png").write_bytes(contents)
    with pytest.raises(InputError, match=r"x\.png: not an image"):
        load_image(tmp_path / "x.png")


def test_truncated_image_error_names_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(random).save(file, "PNG")
    (tmp_path / "x.png").write_bytes(file.getvalue()[:4000])
    with pytest.raises(InputError, match=r"x\.png: .*truncated"):
        load_image(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("fit", "left", "right", "corner"),
    [("crop", RED, GREEN, RED), ("stretch", RED, GREEN, RED), ("pad", RED, GREEN, (0, 0, 0))],
)
def test_resize_to_square_follows_fit(
    half_red: Image.Image, fit: str, left: tuple[int, ...], right: tuple[int, ...], corner: tuple[int, ...]
) -> None:
    pixels = resize_to_square(half_red, 12, 3, fit)
    assert pixels.shape == (3, 12, 12)
    assert tuple(pixels[:, 6, 1]) == left
    assert tuple(pixels[:, 6, 10]) == right
    assert tuple(pixels[:, 0, 0]) == corner


def test_padding_equals_that_of_pillow() -> None:
    random = np.random.default_rng(0)
    for width, height in random.integers(1, 60, (50, 2)):
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        expected = np.asarray(ImageOps.pad(image, (32, 32), Image.Resampling.BILINEAR))
        assert np.array_equal(resize_to_square(image, 32, 3, "pad").transpose(1, 2, 0), expected)


def test_long_image_is_not_padded_away() -> None:
    pixels = resize_to_square(Image.new("L", (4000, 1), 200), 32, 1, "pad")[0]
    assert pixels.max(axis=1).tolist() == [0] * 16 + [200] + [0] * 15


def test_gray_is_luma(half_red: Image.Image) -> None:
    pixels = resize_to_square(half_red, 6, 1, "stretch")
    assert pixels.shape == (1, 6, 6)
    expected = 0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2]
    assert abs(int(pixels[0, 0, 0]) - expected) <= 1


def test_images_of_the_right_size_keep_their_pixels() -> None:
    values = np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8)
    assert np.array_equal(resize_to_square(Image.fromarray(values), 28, 1, "crop")[0], values)

import numpy as np
import pytest
from handwriting import draw_digit
from PIL import Image, ImageOps

from mobilenet_lab.data.transforms.mnist_style import looks_like_mnist, prepare_digit


def assert_is_mnist_like(prepared: np.ndarray) -> None:
    assert prepared.shape == (28, 28)
    assert prepared.dtype == np.uint8
    rows, columns = np.flatnonzero(prepared.max(1) > 60), np.flatnonzero(prepared.max(0) > 60)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    assert 18 <= extent <= 20
    mass = prepared.astype(float) / prepared.sum()
    assert abs((mass.sum(1) * np.arange(28)).sum() - 13.5) <= 0.6
    assert abs((mass.sum(0) * np.arange(28)).sum() - 13.5) <= 0.6
    assert prepared.max() > 200


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("place", [(30, 200), (5, 5), (180, 230)])
def test_dark_pen_on_paper_becomes_mnist_like(digit: int, place: tuple[int, int]) -> None:
    assert_is_mnist_like(prepare_digit(draw_digit(digit, "DejaVuSans.ttf", place=place)))


def test_light_pen_on_dark_gives_the_same_digit() -> None:
    image = draw_digit(5, "DejaVuSerif.ttf")
    dark, light = prepare_digit(image), prepare_digit(ImageOps.invert(image))
    assert np.abs(dark.astype(int) - light).mean() < 3


def test_photo_size_does_not_matter() -> None:
    image = draw_digit(3, "DejaVuSans.ttf")
    small, large = prepare_digit(image), prepare_digit(image.resize((1800, 2400)))
    assert np.abs(small.astype(int) - large).mean() < 6


@pytest.mark.parametrize("font", ["cmss10.ttf", "STIXGeneral.ttf"])
def test_thin_strokes_stay_bright(font: str) -> None:
    prepared = prepare_digit(draw_digit(7, font, (1000, 1000), 600, (200, 100)))
    assert_is_mnist_like(prepared)
    assert (prepared > 150).sum() > 30


def test_speck_does_not_move_the_digit() -> None:
    clean = Image.new("L", (120, 120), 235)
    clean.paste(30, (55, 30, 63, 90))
    speck = clean.copy()
    speck.paste(20, (2, 2, 4, 4))
    assert np.array_equal(prepare_digit(clean), prepare_digit(speck))


def test_mnist_images_stay_unchanged() -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[5:23, 12:15] = 254
    assert looks_like_mnist(pixels)
    assert np.array_equal(prepare_digit(Image.fromarray(pixels)), pixels)
    assert not looks_like_mnist(255 - pixels)


@pytest.mark.parametrize("gray", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (3, 500)])
def test_images_without_ink_are_black(gray: int, size: tuple[int, int]) -> None:
    assert not prepare_digit(Image.new("L", size, gray)).any()

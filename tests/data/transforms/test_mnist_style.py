import numpy as np
import pytest
from handwriting import draw_digit
from PIL import Image, ImageOps

from mobilenet_lab.data.transforms.mnist_style import is_mnist_style, prepare_digit


def assert_is_mnist_like(prepared: np.ndarray) -> None:
    assert prepared.shape == (28, 28)
    assert prepared.dtype == np.uint8
    rows, columns = np.flatnonzero(prepared.max(1) > 60), np.flatnonzero(prepared.max(0) > 60)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    assert 18 <= extent <= 20
    mass = prepared.astype(float) / prepared.sum()
    assert abs((mass.sum(1) * np.arange(28)).sum() - 14) <= 0.6
    assert abs((mass.sum(0) * np.arange(28)).sum() - 14) <= 0.6
    assert prepared.max() > 200


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("place", [(30, 200), (5, 5), (180, 230)])
def test_dark_pen_on_paper_becomes_mnist_like(digit: int, place: tuple[int, int]) -> None:
    assert_is_mnist_like(prepare_digit(draw_digit(digit, "DejaVuSans.ttf", place=place)).pixels)


def test_light_pen_on_dark_gives_the_same_digit() -> None:
    image = draw_digit(5, "DejaVuSerif.ttf")
    dark, light = prepare_digit(image).pixels, prepare_digit(ImageOps.invert(image)).pixels
    assert np.abs(dark.astype(int) - light).mean() < 3


def test_photo_size_does_not_matter() -> None:
    image = draw_digit(3, "DejaVuSans.ttf")
    small, large = prepare_digit(image).pixels, prepare_digit(image.resize((1800, 2400))).pixels
    assert np.abs(small.astype(int) - large).mean() < 6


@pytest.mark.parametrize("font", ["cmss10.ttf", "STIXGeneral.ttf"])
def test_thin_strokes_stay_bright(font: str) -> None:
    prepared = prepare_digit(draw_digit(7, font, (1000, 1000), 600, (200, 100))).pixels
    assert_is_mnist_like(prepared)
    assert (prepared > 150).sum() > 30


def test_speck_does_not_move_the_digit() -> None:
    clean = Image.new("L", (120, 120), 235)
    clean.paste(30, (55, 30, 63, 90))
    speck = clean.copy()
    speck.paste(20, (2, 2, 4, 4))
    assert np.array_equal(prepare_digit(clean).pixels, prepare_digit(speck).pixels)


def mnist_like(size: tuple[int, int] = (20, 10), place: tuple[int, int] = (4, 9)) -> np.ndarray:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[place[0] : place[0] + size[0], place[1] : place[1] + size[1]] = 254
    return pixels


def test_mnist_images_stay_unchanged() -> None:
    pixels = mnist_like()
    assert is_mnist_style(pixels)
    assert np.array_equal(prepare_digit(Image.fromarray(pixels)).pixels, pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        255 - mnist_like(),
        mnist_like(place=(8, 9)),  # off center
        mnist_like(size=(24, 10), place=(2, 9)),  # too large
        mnist_like(size=(14, 8), place=(7, 10)),  # too small
        mnist_like() | 1,  # the background is not exactly black
        mnist_like() // 4,  # faint
        mnist_like()[:27],
    ],
)
def test_other_images_do_not_have_mnist_style(pixels: np.ndarray) -> None:
    assert not is_mnist_style(pixels)


@pytest.mark.parametrize("gray", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (3, 500), (300, 300)])
def test_blank_image_has_no_digit(gray: int, size: tuple[int, int]) -> None:
    prepared = prepare_digit(Image.new("L", size, gray))
    assert prepared.problem == "no digit"
    assert not prepared.pixels.any()


def test_digit_shifted_within_28_pixels_is_centered() -> None:
    shifted = prepare_digit(Image.fromarray(mnist_like(place=(8, 13)))).pixels
    assert is_mnist_style(shifted)

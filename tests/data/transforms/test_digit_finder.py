import time

import numpy as np
import pytest
from photographs import CONDITIONS, Scene, take
from PIL import Image

from mobilenet_lab.data.transforms.mnist_style import prepare_digit


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("font", "digit"), [("DejaVuSans", "4"), ("cmr10", "7"), ("DejaVuSerif-Bold", "9")])
def test_condition_does_not_change_the_digit(condition: str, font: str, digit: str) -> None:
    clean = prepare_digit(take("plain paper", font, digit)).pixels
    prepared = prepare_digit(take(condition, font, digit))
    assert prepared.problem is None
    similarity = np.corrcoef(clean.ravel(), prepared.pixels.ravel())[0, 1]
    assert similarity > (0.8 if condition == "36-pixel digit" else 0.9)


@pytest.mark.parametrize("font", ["DejaVuSans", "STIXGeneral"])
@pytest.mark.parametrize("text", ["12", "70", "345"])
def test_several_digits_are_noticed(font: str, text: str) -> None:
    assert prepare_digit(take("plain paper", font, text)).problem == "several digits"


class BlankScene(Scene):
    def __init__(self, seed: int) -> None:
        super().__init__("DejaVuSans", "1", seed)
        self.ink = np.zeros_like(self.ink)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "condition",
    ["plain paper", "line under the digit", "ruled paper", "thin frame", "hard shadow", "soft shadow"],
)
def test_blank_paper_has_no_digit(condition: str, seed: int) -> None:
    prepared = prepare_digit(CONDITIONS[condition](BlankScene(seed)))
    assert prepared.problem == "no digit"
    assert not prepared.pixels.any()


def test_blurred_digit_is_found() -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    prepared = prepare_digit(Image.fromarray(pixels).resize((280, 280), Image.Resampling.BICUBIC))
    assert prepared.problem is None
    assert np.corrcoef(pixels.ravel(), prepared.pixels.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("size", [8, 28])
def test_image_of_8_pixels_is_prepared_at_any_size(size: int) -> None:
    seven = np.zeros((8, 8), np.uint8)
    seven[0, 1:7], seven[1:, 4] = 240, 200
    image = Image.fromarray(seven)
    for shown in (image, Image.fromarray(255 - seven)):
        prepared = prepare_digit(shown.resize((size, size), Image.Resampling.BICUBIC))
        rows, columns = (np.flatnonzero(prepared.pixels.max(axis) > 100) for axis in (1, 0))
        assert np.ptp(rows) + 1 in (19, 20)
        assert np.ptp(columns) + 1 < 19
        assert prepared.problem is None


def test_repeated_pixels_are_read_at_their_native_size() -> None:
    native = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    enlarged = Image.fromarray(native).resize((28, 28), Image.Resampling.NEAREST)
    assert np.array_equal(prepare_digit(enlarged).pixels, prepare_digit(Image.fromarray(native)).pixels)


def test_time_does_not_depend_on_the_shapes() -> None:
    """A spiral of one pixel is the longest connected component."""
    maze = np.full((319, 319), 255, np.uint8)
    for margin in range(0, 156, 4):
        maze[margin, margin : -margin or None] = 0
        maze[margin : -margin or None, -margin - 1] = 0
        maze[-margin - 1, margin : -margin or None] = 0
        maze[margin + 4 : -margin or None, margin] = 0
    start = time.process_time()
    prepare_digit(Image.fromarray(maze))
    assert time.process_time() - start < 1

"""The JavaScript of the page computes what Python computes."""

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from handwriting import draw_digit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilenet_lab.data.images import resize_to_square
from mobilenet_lab.data.transforms.digit_finder import find_digit
from mobilenet_lab.data.transforms.mnist_style import is_mnist_style, to_mnist_style
from mobilenet_lab.export.javascript import for_html, join_modules
from mobilenet_lab.export.page import SOURCES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CALL = """([pixels, width, height, channels, rest]) => {
  const data = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
  const result = FUNCTION({ data, width, height, channels }, ...rest);
  if (result === null || typeof result !== "object") return result;
  return [result.height, result.width, result.channels, btoa(String.fromCharCode(...result.data))];
}"""
LONG = (4000, 1, 136)  # cropped before it is resized, because the resized image would exceed MAX_PIXELS
RESAMPLING = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class JavaScript:
    """Calls functions of the modules on images."""

    def __init__(self, tab: "Page") -> None:
        self.tab = tab
        tab.add_script_tag(content=join_modules(SOURCES, "finder"))

    def __call__(self, function: str, image: np.ndarray, *arguments: Any) -> Any:
        """Call a function, written as `<module>_js.<name>`, with an image of shape (H, W) or (H, W, 3)."""
        height, width, channels = (*image.shape, 1)[:3]
        pixels = base64.b64encode(image.tobytes()).decode()
        result = self.tab.evaluate(
            CALL.replace("FUNCTION", function), [pixels, width, height, channels, list(arguments)]
        )
        if not isinstance(result, list):
            return result
        *shape, data = result
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(shape)


@pytest.fixture(scope="module")
def javascript(browser: "Browser") -> JavaScript:
    return JavaScript(browser.new_page())


def noise(width: int, height: int, channels: int, seed: int) -> np.ndarray:
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


sides = st.integers(1, 60)


@pytest.mark.parametrize("name", RESAMPLING)
def test_resize_equals_pillow(javascript: JavaScript, name: str) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(sides, sides, sides, sides, st.sampled_from([1, 3]), st.integers(0, 99))
    def compare(width: int, height: int, to_width: int, to_height: int, channels: int, seed: int) -> None:
        pixels = noise(width, height, channels, seed)
        box = (0.3 * width, 0, 0.9 * width, float(height)) if seed % 2 else (0, 0, width, height)
        expected = Image.fromarray(pixels).resize((to_width, to_height), RESAMPLING[name], box=box)
        resized = javascript("resample_js.resize", pixels, to_width, to_height, name, box)
        assert np.array_equal(resized.reshape(np.asarray(expected).shape), expected)

    compare()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_square_equals_that_of_python(javascript: JavaScript, fit: str, channels: int) -> None:
    for width, height, size in [(90, 61, 32), (61, 90, 28), (13, 300, 56), (20, 20, 33), (28, 28, 28), LONG]:
        for stored in (1, 3):
            pixels = noise(width, height, stored, width)
            expected = resize_to_square(Image.fromarray(pixels), size, channels, fit)
            square = javascript("images_js.resizeToSquare", pixels, size, channels, fit)
            assert np.array_equal(square.transpose(2, 0, 1), expected)


def test_mnist_style_equals_that_of_python(javascript: JavaScript) -> None:
    for digit, font in enumerate(["DejaVuSans.ttf", "STIXGeneralItalic.ttf"] * 5):
        for height in (40, 220):
            found = find_digit(np.asarray(draw_digit(digit, font, height=height, place=(30, 60))))
            assert found is not None
            expected = to_mnist_style(found.ink)
            assert np.array_equal(javascript("digit_js.toMnistStyle", found.ink)[..., 0], expected)
            assert javascript("digit_js.isMnistStyle", expected) is bool(is_mnist_style(expected)) is True
            moved = np.roll(expected, 2, axis=0)
            assert javascript("digit_js.isMnistStyle", moved) is bool(is_mnist_style(moved)) is False


def test_digit_is_found_where_python_finds_it(javascript: JavaScript) -> None:
    photograph = np.asarray(draw_digit(8, "DejaVuSans.ttf"))
    found = find_digit(photograph)
    assert found is not None
    for pixels in (photograph, 255 - photograph, np.repeat(photograph[..., None], 3, axis=2)):
        ink = javascript("((image) => finder_js.findDigit(image).ink)", pixels)
        assert np.abs(np.subtract(ink.shape[:2], found.ink.shape)).max() <= 3


@pytest.mark.parametrize("level", [0, 130, 255])
def test_image_without_contrast_has_no_digit(javascript: JavaScript, level: int) -> None:
    for side in (28, 200):
        assert javascript("finder_js.findDigit", np.full((side, side), level, np.uint8)) is None


def test_script_cannot_end_its_element() -> None:
    assert for_html("a</script><!-- b </SCRIPT>") == r"a\x3C/script>\x3C!-- b \x3C/SCRIPT>"

"""The page in Chromium, opened from its file, with a network trained on MNIST."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser_page import (
    PASTE,
    answer,
    clear,
    draw,
    give_file,
    network_input,
    note,
    open_page,
    settle,
)
from conftest import DATA, SCREENSHOTS
from pen_strokes import written_digit
from photographs import CONDITIONS, take
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.data.datasets.mnist import mnist
from mobilenet_lab.data.transforms.mnist_style import prepare_digit
from mobilenet_lab.export.deployable import Deployable
from mobilenet_lab.export.page_format import export_page
from mobilenet_lab.runs.folder import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

pytestmark = [pytest.mark.run, pytest.mark.xdist_group("mnist_run")]

PHONE = {"width": 360, "height": 740}
BRIGHT_INK = "() => getComputedStyle(document.getElementById('pad')).color"


@pytest.fixture(scope="module")
def page_file(mnist_run: Path, web_runtime_or_skip: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a network that was trained on MNIST."""
    path = tmp_path_factory.mktemp("page") / "digits.html"
    path.write_bytes(export_page(Deployable([RunFolder(mnist_run).best])))
    return path


@pytest.fixture(scope="module")
def opened(browser: "Browser", page_file: Path) -> "Iterator[Page]":
    """Return the open page, which the tests below share."""
    tab = browser.new_page(viewport={"width": 1000, "height": 800})
    open_page(tab, page_file)
    yield tab
    tab.close()


@pytest.fixture
def tab(opened: "Page", request: pytest.FixtureRequest) -> "Iterator[Page]":
    """Return the open page without a drawing or earlier steps to undo."""
    opened.evaluate("() => document.activeElement.blur()")
    clear(opened)
    yield opened
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SCREENSHOTS / f"page-{request.node.name}.png", full_page=True)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_twenty_digits_drawn_with_the_mouse_are_classified(tab: "Page") -> None:
    answers = {}
    for hand in (0, 1):
        for digit in range(10):
            clear(tab)
            draw(tab, written_digit(digit, hand))
            answers[hand, digit] = answer(tab)
    assert answers == {(hand, digit): str(digit) for hand in (0, 1) for digit in range(10)}


def test_drawing_is_prepared_as_by_predict(tab: "Page", mnist_run: Path) -> None:
    """Python gets a screenshot of the pad. Rounding may move a digit by a pixel."""
    drawings, answers = [], []
    for digit in (2, 4, 5, 8, 9):
        clear(tab)
        draw(tab, written_digit(digit, digit % 2))
        tab.evaluate("() => document.activeElement.blur()")
        screenshot = Image.open(io.BytesIO(tab.locator("#pad").screenshot())).convert("L")
        inside = screenshot.crop((4, 4, screenshot.width - 4, screenshot.height - 4))
        expected, seen = prepare_digit(inside).pixels.astype(int), network_input(tab)[..., 0].astype(int)
        shifts = [np.roll(seen, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        nearest = min((np.abs(shifted - expected) for shifted in shifts), key=np.mean)
        assert nearest.mean() < 3
        assert nearest.max() < 100
        drawings.append(inside)
        answers.append(answer(tab))
    assert [prediction.class_name for prediction in Predictor(mnist_run)(drawings)] == answers


def test_probabilities_are_those_of_the_checkpoint(tab: "Page", mnist_run: Path) -> None:
    draw(tab, written_digit(4, 0))
    shown = [float(text.rstrip(" %")) for text in tab.locator("#bars .value").all_text_contents()]
    seen = Image.fromarray(network_input(tab)[..., 0])
    expected = Predictor(mnist_run, preprocess="none")([seen])[0].probabilities
    assert shown == pytest.approx([100 * value for value in expected.values()], abs=0.06)


def test_image_in_mnist_style_reaches_the_network_unchanged(tab: "Page") -> None:
    test = mnist(str(DATA)).open("test")
    for index in range(3):
        give_file(tab, png(Image.fromarray(test.images[index])))
        assert np.array_equal(network_input(tab)[..., 0], test.images[index])
        assert answer(tab) == str(test.labels[index])


def test_photographs_are_classified(tab: "Page") -> None:
    right = 0
    for index, condition in enumerate(CONDITIONS):
        photograph = take(condition, "DejaVuSans", str(index % 10))
        give_file(tab, png(photograph))
        right += answer(tab) == str(index % 10)
    assert right >= len(CONDITIONS) - 1


def test_undo_redo_and_clear_restore_the_drawing(tab: "Page") -> None:
    draw(tab, written_digit(4, 0)[:1])
    first = network_input(tab)
    draw(tab, written_digit(4, 0)[1:])
    assert answer(tab) == "4"
    complete = network_input(tab)
    tab.keyboard.press("Control+z")
    settle(tab)
    assert np.array_equal(network_input(tab), first)
    tab.keyboard.press("Control+Shift+Z")
    settle(tab)
    assert np.array_equal(network_input(tab), complete)
    tab.keyboard.press("Delete")
    settle(tab)
    assert (answer(tab), note(tab)) == ("", "Draw a digit")
    tab.click("#undo")
    settle(tab)
    assert np.array_equal(network_input(tab), complete)
    assert tab.locator("#redo").is_enabled()
    draw(tab, [[(0.2, 0.2), (0.3, 0.2)]])
    assert tab.locator("#redo").is_disabled()


def test_blank_pad_has_no_answer(tab: "Page") -> None:
    assert (answer(tab), note(tab)) == ("", "Draw a digit")
    assert tab.locator("#seen").is_hidden()
    assert tab.locator("#clear").is_disabled()


def test_two_digits_are_noted(tab: "Page") -> None:
    for offset in (-0.25, 0.25):
        draw(
            tab, [[(0.5 + offset + 0.5 * (x - 0.5), y) for x, y in stroke] for stroke in written_digit(3, 0)]
        )
    assert "several digits found" in note(tab)


def test_keyboard_draws(tab: "Page") -> None:
    tab.focus("#pad")
    tab.keyboard.press("Space")
    for _ in range(14):
        tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Space")
    settle(tab)
    assert answer(tab) == "1"
    tab.keyboard.press("ArrowRight")  # the pen is up
    settle(tab)
    assert answer(tab) == "1"
    tab.keyboard.press("Escape")
    settle(tab)
    assert answer(tab) == ""


def test_every_control_is_reached_by_tab_and_visible(tab: "Page") -> None:
    draw(tab, written_digit(1, 0))
    tab.evaluate("() => document.activeElement.blur()")
    tab.focus("#pad")
    reached = []
    for _ in range(6):
        tab.keyboard.press("Tab")
        focused = "document.activeElement.id || document.activeElement.tagName"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        reached.append(tab.evaluate(f"() => [{focused}, {outline}]"))
    names = ["undo", "clear", "brush", "choose", "camera", "SUMMARY"]
    assert reached == [[name, "solid"] for name in names]


def test_answer_is_spoken_once_the_drawing_rests(tab: "Page") -> None:
    draw(tab, written_digit(7, 0))
    assert tab.locator("#spoken").get_attribute("aria-live") == "polite"
    tab.wait_for_function(
        "() => document.getElementById('spoken').textContent.startsWith('7, ')", timeout=3000
    )


def test_brush_width_changes_the_stroke(tab: "Page") -> None:
    dark = """() => { const pad = document.getElementById("pad");
      const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
      return data.filter((value, i) => i % 4 === 3 && value > 0).length; }"""
    areas = []
    for width in ("3", "12"):
        clear(tab)
        tab.fill("#brush", width)
        draw(tab, [[(0.5, 0.2), (0.5, 0.8)]])
        areas.append(tab.evaluate(dark))
    tab.fill("#brush", "6.5")
    assert areas[1] > 3 * areas[0]


def test_chosen_and_pasted_images_are_classified(tab: "Page", tmp_path: Path) -> None:
    take("plain paper", "DejaVuSans", "5").save(tmp_path / "five.png")
    tab.set_input_files("#file", tmp_path / "five.png")
    tab.wait_for_function("() => document.getElementById('class').textContent === '5'", timeout=3000)
    give_file(tab, png(take("plain paper", "DejaVuSans", "8")), how=PASTE)
    assert answer(tab) == "8"
    draw(tab, written_digit(1, 0))  # a stroke on an image starts a new drawing
    assert answer(tab) == "1"
    tab.keyboard.press("Control+z")
    settle(tab)
    assert answer(tab) == "8"


def test_file_that_is_no_image_is_refused(tab: "Page") -> None:
    give_file(tab, b"not a PNG")
    assert "x.png: this browser cannot decode it" in (tab.locator("#problem").text_content() or "")
    give_file(tab, b"text", name="a.txt", kind="text/plain")
    assert tab.locator("#problem").text_content() == "What you dropped has no image file"
    assert answer(tab) == ""


def test_drawing_survives_a_resize_and_dark_mode(tab: "Page") -> None:
    draw(tab, written_digit(6, 0))
    before, color = network_input(tab), tab.evaluate(BRIGHT_INK)
    tab.set_viewport_size(PHONE)
    tab.emulate_media(color_scheme="dark")
    settle(tab)
    draw(tab, [])
    assert tab.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert tab.evaluate(BRIGHT_INK) != color
    assert np.array_equal(network_input(tab), before)
    tab.keyboard.press("Escape")
    draw(tab, written_digit(2, 1))
    assert answer(tab) == "2"
    tab.emulate_media(color_scheme="light")
    tab.set_viewport_size({"width": 1000, "height": 800})


def touch(session: "CDPSession", kind: str, *places: tuple[float, float]) -> None:
    points = [{"x": x, "y": y} for x, y in places]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_finger_draws_without_scrolling_and_without_a_network(browser: "Browser", page_file: Path) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=3)  # type: ignore[arg-type]
    context.set_offline(True)
    tab = context.new_page()
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    open_page(tab, page_file)
    box = tab.locator("#pad").bounding_box()
    assert box is not None
    session = context.new_cdp_session(tab)
    for stroke in written_digit(3, 0):
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        touch(session, "touchStart", places[0])
        for place in places[1:]:
            touch(session, "touchMove", place)
        touch(session, "touchEnd")
    settle(tab)
    assert answer(tab) == "3"
    assert tab.evaluate("() => [scrollX, scrollY, document.documentElement.scrollWidth]") == [0, 0, 360]
    assert tab.evaluate("() => document.getElementById('pad').width") > 2.5 * box["width"]
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []
    context.close()


def test_page_is_ready_within_three_seconds(browser: "Browser", page_file: Path) -> None:
    """The CPU seconds of the page's process do not depend on other load."""
    tab = browser.new_page()
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable")
    open_page(tab, page_file)
    metrics = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    assert 0 < metrics["ProcessTime"] < 3
    assert page_file.stat().st_size < 9_000_000
    tab.close()

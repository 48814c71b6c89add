"""The page of a network for photographs. The network here says which primary color an image has most of."""

import io
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser_page import PASTE, answer, draw, give_file, network_input, note, open_page
from PIL import Image

from mobilenet_lab.data.images import resize_to_square
from mobilenet_lab.data.resize_modes import crop_center
from mobilenet_lab.export.page import build_page, model_of_page
from mobilenet_lab.export.web_runtime import WebRuntime
from mobilenet_lab.inference.model_metadata import INPUT, OUTPUT, ModelMetadata

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZE = 32
COLORS = ["mostly red", "mostly green", "mostly blue"]
HOSTILE = [
    "</script><script>window.attacked = 1</script>",
    "<img src=x onerror='window.attacked = 1'>",
    '\u202e"&',
]
FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def color_model() -> bytes:
    """Return an ONNX file that compares the mean red, green and blue of an image."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("Div", ["means", "temperature"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.array([2, 3]), "axes"),
            numpy_helper.from_array(np.array(8, np.float32), "temperature"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def metadata(classes: Sequence[str] = COLORS, mnist_style: bool = False, fit: str = "crop") -> ModelMetadata:
    return ModelMetadata(
        classes=list(classes),
        preprocessing={"image_size": SIZE, "channels": 3, "mean": 0.5, "std": 0.5, "resize": "auto"},
        data={"name": "photos", "native_size": SIZE, "mnist_style": mnist_style, "fit": fit},
    )


def photograph(color: tuple[int, int, int], size: tuple[int, int] = (90, 60)) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3))
    return Image.fromarray((noise + np.array(color)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def write_page(folder: Path, described: ModelMetadata) -> Path:
    path = folder / "page.html"
    path.write_text(build_page(color_model(), described), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tab(
    browser: "Browser", web_runtime_or_skip: None, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Page]":
    tab = browser.new_page(viewport={"width": 1000, "height": 800})
    open_page(tab, write_page(tmp_path_factory.mktemp("colors"), metadata()))
    yield tab
    tab.close()


@pytest.mark.parametrize("index", range(3))
def test_dropped_photograph_is_classified(tab: "Page", index: int) -> None:
    color = [20, 20, 20]
    color[index] = 150
    image = photograph((color[0], color[1], color[2]))
    give_file(tab, encoded(image))
    assert answer(tab) == COLORS[index]
    assert (tab.locator("#bars .name").first.text_content() or "") == COLORS[index]
    assert np.array_equal(network_input(tab).transpose(2, 0, 1), resize_to_square(image, SIZE, 3, "crop"))


def test_page_shows_the_part_that_the_network_sees(
    browser: "Browser", web_runtime_or_skip: None, tmp_path: Path
) -> None:
    described = metadata()
    described.preprocessing.update(image_size=25, resize="crop")
    tab = browser.new_page()
    open_page(tab, write_page(tmp_path, described))
    image = photograph((150, 20, 20))
    give_file(tab, encoded(image))
    shown = crop_center(resize_to_square(image, SIZE, 3, "crop"), 25)
    assert np.array_equal(network_input(tab).transpose(2, 0, 1), shown)
    assert "25 \u00d7 25 pixels" in (tab.text_content("body") or "")
    tab.close()


def test_pasted_gray_photograph_has_no_certain_answer(tab: "Page") -> None:
    give_file(tab, encoded(photograph((90, 90, 90), (40, 70)).convert("L")), how=PASTE)
    assert note(tab) == "not sure"


def test_transparent_background_is_white(tab: "Page") -> None:
    image = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    image.paste((10, 10, 200, 255), (8, 8, 24, 24))
    give_file(tab, encoded(image))
    seen = network_input(tab)
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[16, 16].tolist() == [10, 10, 200]


def test_photograph_is_turned_upright(tab: "Page") -> None:
    image = photograph((0, 0, 0), (SIZE, SIZE))
    image.paste((255, 0, 0), (0, 0, SIZE, 8))  # red on top
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    file = io.BytesIO()
    image.rotate(180).save(file, "JPEG", exif=exif, quality=95)
    give_file(tab, file.getvalue(), name="x.jpg", kind="image/jpeg")
    assert network_input(tab)[2, 16, 0] > 200
    assert network_input(tab)[29, 16, 0] < 100


def test_network_that_cannot_be_loaded_is_reported(
    browser: "Browser", web_runtime_or_skip: None, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(build_page(b"not a model", metadata()), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-state=failed]", timeout=20_000)
    assert note(tab).startswith("The network cannot be loaded: ")
    tab.close()


def test_there_is_nothing_to_draw_with(tab: "Page") -> None:
    assert tab.locator("#brush").count() == 0
    assert tab.locator("#pad").get_attribute("tabindex") is None


def test_camera_that_is_not_allowed_is_reported(tab: "Page") -> None:
    tab.click("#camera")
    tab.wait_for_function(
        "() => /Choose an image instead/.test(document.getElementById('problem').textContent)"
    )


@pytest.fixture(scope="module")
def browser_with_camera(browser: "Browser", web_runtime_or_skip: None) -> Iterator["Browser"]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    chromium = browser.browser_type.launch(executable_path=executable, args=["--no-sandbox", *FAKE_CAMERA])
    yield chromium
    chromium.close()


def test_camera_is_classified_until_it_is_stopped(browser_with_camera: "Browser", tmp_path: Path) -> None:
    tab = browser_with_camera.new_page()
    open_page(tab, write_page(tmp_path, metadata(fit="pad")))
    tab.click("#camera")
    tab.wait_for_function("() => document.getElementById('class').textContent !== ''", timeout=10_000)
    assert tab.locator("#camera").text_content() == "Stop camera"
    tab.click("#camera")
    assert tab.locator("#camera").text_content() == "Camera"
    seen = network_input(tab)
    assert seen[16].max() > 100  # Chromium's test image
    assert seen[0].max() == 0  # the border of an image that is wider than high
    tab.wait_for_timeout(300)
    assert np.array_equal(network_input(tab), seen)
    tab.click("#undo")
    tab.wait_for_function("() => document.getElementById('class').textContent === ''")
    tab.close()


def test_camera_stopped_within_an_image_keeps_the_one_before(
    browser_with_camera: "Browser", tmp_path: Path
) -> None:
    tab = browser_with_camera.new_page()
    tab.add_init_script("""
      const decode = createImageBitmap, wait = () => new Promise((done) => setTimeout(done, 300));
      window.createImageBitmap = (...inputs) => wait().then(() => decode(...inputs));
    """)
    open_page(tab, write_page(tmp_path, metadata()))
    tab.click("#camera")
    tab.wait_for_function("() => document.getElementById('class').textContent !== ''", timeout=10_000)
    tab.wait_for_timeout(250)  # the next image begins after 100 ms
    tab.click("#camera")
    tab.wait_for_timeout(400)
    assert answer(tab) != ""
    tab.close()


def test_drawing_stops_the_camera(browser_with_camera: "Browser", tmp_path: Path) -> None:
    tab = browser_with_camera.new_page()
    open_page(tab, write_page(tmp_path, metadata(mnist_style=True)))
    tab.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.streams = [];
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        streams.push(await ask(wanted));
        return streams.at(-1);
      };
      for (let i = 0; i < 2; i++) document.getElementById("camera").click(); // twice in a hurry
    }""")
    tab.wait_for_function("() => document.getElementById('camera').textContent === 'Stop camera'")
    draw(tab, [[(0.5, 0.2), (0.5, 0.8)]])
    assert tab.locator("#camera").text_content() == "Camera"
    assert tab.evaluate("() => streams.map((one) => one.active)") == [False]
    tab.wait_for_timeout(300)
    assert answer(tab) != ""  # of the stroke
    tab.close()


@pytest.mark.parametrize("mnist_style", [True, False])
def test_class_names_cannot_run_code(
    browser: "Browser", web_runtime_or_skip: None, tmp_path: Path, mnist_style: bool
) -> None:
    tab = browser.new_page()
    open_page(tab, write_page(tmp_path, metadata(HOSTILE, mnist_style)))
    for index in range(3):
        color = [0, 0, 0]
        color[index] = 180
        if mnist_style:
            tab.mouse.move(200, 300)
            tab.mouse.down()
            tab.mouse.move(220, 400)
            tab.mouse.up()
        else:
            give_file(tab, encoded(photograph((color[0], color[1], color[2]))))
            assert answer(tab) == HOSTILE[index]
    assert sorted(tab.locator("#bars .name").all_text_contents()) == sorted(HOSTILE)
    assert tab.evaluate("() => window.attacked") is None
    assert tab.locator("#bars img").count() == 0
    tab.close()


def test_policy_of_the_page_blocks_requests_and_foreign_scripts(tab: "Page") -> None:
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    failed = "fetch('http://127.0.0.1:9/').then(() => false, () => true)"
    assert tab.evaluate(f"() => {failed}")
    tab.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.attacked = 1";
      document.body.append(script);
    }""")
    assert tab.evaluate("() => window.attacked") is None
    assert requests == []


def test_page_leaves_room_for_the_default_network(web_runtime_or_skip: None) -> None:
    """The network has 2.8 MB, 3.5 MB as text, and the page must not exceed 9 MB."""
    assert len(build_page(b"", metadata()).encode()) < 5_100_000


def test_page_has_the_license_and_names_no_other_address() -> None:
    page = build_page(
        b"model", metadata(), runtime=WebRuntime("let ort;\n//# sourceMappingURL=ort.js.map", b"1", b"2")
    )
    assert "Copyright (c) Microsoft Corporation" in page
    assert "sourceMappingURL" not in page
    assert re.findall(r"https?://[\w.]+", page) == ["https://onnxruntime.ai"]
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_model_can_be_taken_out_of_the_page() -> None:
    page = build_page(b"model", metadata(HOSTILE), runtime=WebRuntime("</script>", b"1", b"2"))
    assert model_of_page(page) == b"model"
    assert page.count("</script>") == 6  # metadata, three packed files, two scripts


def test_long_class_name_fits_a_phone(browser: "Browser", web_runtime_or_skip: None, tmp_path: Path) -> None:
    tab = browser.new_page()
    classes = ["a very long name of a class that does not fit into one line of the page at all", "b", "c"]
    tab.set_viewport_size({"width": 360, "height": 740})
    open_page(tab, write_page(tmp_path, metadata(classes)))
    give_file(tab, encoded(photograph((150, 0, 0))))
    assert tab.evaluate("() => document.documentElement.scrollWidth") == 360
    tab.close()

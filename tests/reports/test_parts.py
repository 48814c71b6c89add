"""Charts, images, class tables and formats of a report."""

import base64
import io
import itertools
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from reports_under_test import DIGITS, EPOCHS, predicted_quality

from mobilenet_lab.reports.charts import Point, accuracy_over_macs, curves, reliability
from mobilenet_lab.reports.classes import class_rows, confusion_cells, frequent_pairs
from mobilenet_lab.reports.images import confusion_url, image_url
from mobilenet_lab.reports.page import duration, percent, size
from mobilenet_lab.reports.svg import SERIES, inline_svg, page_style
from mobilenet_lab.runs.accuracy_axes import scale_accuracy
from mobilenet_lab.runs.quality import Calibration, Quality


def image_of(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


def test_charts_take_their_colors_from_the_page() -> None:
    for chart in (*curves(EPOCHS), reliability(predicted_quality(DIGITS).calibration)):
        assert not re.search(r"#[0-9a-f]{6}", chart)
        assert {"currentColor", "var(--muted)", "var(--series-1)"} <= set(
            re.findall(r"[\w-]+(?:\(.*?\))?", chart)
        )
        assert "font-family" not in chart
        assert "DejaVu" not in chart
        assert "<style" not in chart


def test_text_of_a_figure_is_escaped_and_its_ids_have_a_prefix() -> None:
    with page_style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1], marker="o", color=SERIES[1])
        axes.set_title('</svg><script>"id="x" url(#x)', parse_math=False)
        chart = inline_svg(figure, "mine", 'a "quoted" <text>')
    assert "&lt;/svg&gt;&lt;script&gt;" in chart
    assert 'aria-label="a &quot;quoted&quot; &lt;text&gt;"' in chart
    assert "url(#x)" in chart
    ids = re.findall(r' id="([^"]*)"', chart.replace("&lt;/svg", ""))
    assert [name for name in ids if not name.startswith("mine-")] == []


def test_accuracy_axis_fits_near_and_distant_results() -> None:
    near = accuracy_over_macs([Point("a", 10**6, 0.52), Point("b", 2 * 10**6, 0.55)], "test")
    distant = accuracy_over_macs([Point("$_$", 10**6, 0.5), Point("猫", 2 * 10**7, 1.0)], "test")
    assert ">99.9</text>" in distant
    assert ">99.9</text>" not in near
    assert "the best is b with 55.00%" in near
    assert "$_$</text>" in distant


def test_error_axis_has_margins_of_its_own_scale_and_ticks_apart() -> None:
    axes = Figure().subplots()
    axes.scatter([1, 2], [62.0, 99.62])
    axes.margins(y=0.12)
    scale_accuracy(axes)
    to_axes = axes.transScale + axes.transLimits
    heights = [to_axes.transform((1, y))[1] for y in (62.0, 99.62)]
    assert heights == pytest.approx([0.12 / 1.24, 1.12 / 1.24], abs=1e-6)
    ticks = [to_axes.transform((1, y))[1] for y in axes.get_yticks()]
    assert len(ticks) > 5
    assert min(b - a for a, b in itertools.pairwise(ticks)) > 0.04


def test_small_gray_image_is_unchanged_and_large_ones_are_reduced() -> None:
    random = np.random.default_rng(0)
    gray = random.integers(0, 256, (28, 28), np.uint8)
    assert np.array_equal(np.asarray(image_of(image_url(gray))), gray)
    url = image_url(random.integers(0, 256, (200, 300, 3), np.uint8))
    assert image_of(url).size == (96, 64)
    assert len(url) < 15_000


@pytest.mark.parametrize(("classes", "side"), [(30, 30), (2500, 834)])
def test_matrix_image_keeps_a_single_error_visible(classes: int, side: int) -> None:
    confusion = np.diag(np.full(classes, 1000))
    confusion[classes - 1, 0] = 1
    image = image_of(confusion_url(confusion)).convert("RGBA")
    assert image.size == (side, side)
    red, blue = image.getpixel((0, side - 1)), image.getpixel((0, 0))
    assert red[0] > red[2]  # type: ignore[index]
    assert red[3] > 0  # type: ignore[index]
    assert blue[2] > blue[0]  # type: ignore[index]
    assert blue[3] == 255  # type: ignore[index]
    assert image.getpixel((side - 1, 0))[3] == 0  # type: ignore[index]


def test_class_table_counts_each_class() -> None:
    confusion = np.array([[5, 3, 1], [0, 0, 0], [0, 0, 4]])
    empty = Calibration(np.zeros(15, np.int64), np.zeros(15), np.zeros(15, np.int64))
    quality = Quality(["a", "b", "c"], confusion, empty, [])
    rows = [(r.name, r.count, r.accuracy, r.confused_with, r.confused_count) for r in class_rows(quality)]
    assert rows == [("a", 9, 5 / 9, "b", 3), ("b", 0, None, None, 0), ("c", 4, 1.0, None, 0)]
    pairs = [(p.label, p.prediction, p.count, p.fraction) for p in frequent_pairs(quality)]
    assert pairs == [("a", "b", 3, 3 / 9), ("a", "c", 1, 1 / 9)]
    cells = confusion_cells(quality)
    assert cells is not None
    assert [[cell.shade for cell in row] for row in cells] == [[0.556, 1.0, 0.333], [0, 0, 0], [0, 0, 1.0]]


def test_formats() -> None:
    assert [percent(x) for x in (0.9941, 0.99999, 1.0, 0.0)] == ["99.41 %", "99.99 %", "100.00 %", "0.00 %"]
    assert [duration(x) for x in (0.0, 99.94, 130.0, 7265.0)] == [
        "0.0 s",
        "99.9 s",
        "2 min 10 s",
        "2 h 01 min",
    ]
    assert [size(x) for x in (696_970, 6_273_904, 12, 67.1, 3.2e9)] == [
        "697 k",
        "6.27 M",
        "12",
        "67.1",
        "3.2 G",
    ]

"""Reports in Chromium, opened from the disk."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from reports_under_test import HOSTILE, predicted_quality, write_example

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.sweeps.failures import record_failure
from mobilenet_lab.sweeps.summary import summarize_sweep

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

# The color of every text and the color behind it, as the browser computes them
COLORS = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
      layers.push([r, g, b, a]);
      if (a === 1) break;
    }
    return layers.reverse().reduce((under, [r, g, b, a]) =>
      [r, g, b].map((value, i) => a * value + (1 - a) * under[i]), [255, 255, 255]);
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("main *")].filter(hasText).map((element) => {
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    return [element.textContent.trim().slice(0, 40), parse(color).slice(0, 3), behind(element)];
  });
}"""
OVERFLOW = "() => [document.scrollingElement.scrollWidth, innerWidth]"

Opened = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report with hostile class names."""
    folder = tmp_path_factory.mktemp("run") / "<img src=x onerror=alert(8)>"
    return write_example(folder, quality=predicted_quality(HOSTILE))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """Return the folder of a sweep with three finished jobs, copies of a real run, and a failed one."""
    folder = tmp_path_factory.mktemp("sweep")
    for name, filters, accuracy in (
        ("javascript:alert(9)", 2, 0.5),
        ("a b#c?", 10, 0.25),
        ("100%/é", 1, 1.0),
    ):
        job = RunFolder(folder / name)
        shutil.copytree(tiny_run, job.path, ignore=shutil.ignore_patterns("checkpoints"))
        job.config.write_text(job.config.read_text().replace("filters: 1", f"filters: {filters}"))
        result = job.read_result() or {}
        result |= {"val/accuracy": accuracy, "macs": filters * 10**6, "test/accuracy": None}
        job.result.write_text(json.dumps(result))
    record_failure(
        RunFolder(folder / "3"), ["model.filters=0"], "model.filters=0: <script>alert(10)</script>"
    )
    summarize_sweep(folder)
    return folder


@pytest.fixture
def opened(page: "Page") -> Opened:
    """Return a function that opens a file and returns other requests, messages and dialogs."""

    def open_file(path: Path) -> list[str]:
        events: list[str] = []
        page.on("request", lambda request: events.append(request.url))
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on("dialog", lambda dialog: (events.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri(), wait_until="load")
        page.wait_for_timeout(200)
        return [event for event in events if event != path.as_uri() and not event.startswith("data:")]

    return open_file


def contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast ratio of two colors, as the Web Content Accessibility Guidelines 2 define it."""

    def luminance(color: list[float]) -> float:
        channels = [value / 255 for value in color]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_report_makes_no_request_and_runs_no_script_of_a_name(
    page: "Page", opened: Opened, report: Path, tiny_run: Path
) -> None:
    for path in (report, tiny_run / "report.html"):
        assert opened(path) == []
    assert page.locator("svg.chart").count() >= 2
    assert page.evaluate("() => [...document.images].every((image) => image.naturalWidth > 0)")


def test_report_fits_a_phone(page: "Page", opened: Opened, report: Path, sweep: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for path in (report, sweep / "report.html"):
        opened(path)
        page.evaluate("() => document.querySelectorAll('details').forEach((e) => { e.open = true })")
        width, available = page.evaluate(OVERFLOW)
        assert width <= available == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_readable(page: "Page", opened: Opened, report: Path, sweep: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in (report, sweep / "report.html"):
        opened(path)
        texts = page.evaluate(COLORS)
        assert len(texts) > 50
        assert [text for text in texts if contrast(text[1], text[2]) < 4.5] == []
        background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(16, 20, 24)") == (scheme == "dark")


def test_print_is_light_and_complete(page: "Page", opened: Opened, report: Path) -> None:
    page.emulate_media(color_scheme="dark", media="print")
    opened(report)
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF-")
    assert 2 <= pdf.count(b"/Type /Page\n") <= 12


def test_sweep_report_sorts_by_a_click_or_key(page: "Page", opened: Opened, sweep: Path) -> None:
    assert opened(sweep / "report.html") == []

    def column(number: int) -> list[str]:
        return page.locator(f"#jobs tbody tr > *:nth-child({number})").all_inner_texts()

    assert column(1) == ["100%/é", "a b#c?", "javascript:alert(9)"]
    button = page.get_by_role("button", name="model.filters")
    button.click()
    number = page.locator("#jobs thead th").all_inner_texts().index("model.filters") + 1
    assert column(number) == ["1", "2", "10"]
    button.press("Enter")
    assert column(number) == ["10", "2", "1"]
    assert page.locator("#jobs th[aria-sort=descending]").all_inner_texts() == ["model.filters"]
    assert "alert(10)" in page.locator("#failures").inner_text()


def test_links_of_a_sweep_lead_to_the_reports_of_its_jobs(page: "Page", opened: Opened, sweep: Path) -> None:
    opened(sweep / "report.html")
    addresses = page.eval_on_selector_all("#jobs a", "links => links.map((link) => link.href)")
    assert len(addresses) == 3
    for address in addresses:
        assert urlsplit(address).scheme == "file"
        assert Path(unquote(urlsplit(address).path)).is_file()
    page.locator("#jobs a").nth(1).click()
    page.wait_for_url("**/a%20b%23c%3F/report.html")
    assert page.locator("h1").inner_text() == "mobilenet_v2 on idx"


def test_table_is_complete_without_scripts(page: "Page", sweep: Path) -> None:
    context = page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    plain = context.new_page()
    plain.goto((sweep / "report.html").as_uri())
    assert plain.locator("#jobs tbody tr").count() == 3
    assert plain.locator("#jobs button").count() == 0
    context.close()

"""TensorBoard itself, as a process, in a browser: what a user sees of two runs."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from conftest import TINY_RUN, run_script

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.run, pytest.mark.xdist_group("tensorboard")]  # one server for all tests

RUNS = ["first", "sweep/0"]
CHARTS = (
    "accuracy",
    "loss",
    "learning rate",
    "gradient norm",
    "images per second",
    "share of time spent waiting for data",
    "accuracy per class, validation",
    "expected calibration error",
)
IMAGES = {"confusion_matrix", "reliability", "worst_mistakes"}
RESULTS = ("val_accuracy", "test_accuracy", "parameters", "macs", "images_per_second", "minutes")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, tiny_idx: Path) -> Path:
    """Return a folder with two runs of different groups, and the link to the last."""
    cwd = tmp_path_factory.mktemp("tensorboard")
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "num_threads=1")
    options = [
        f"callbacks.dashboard.{option}" for option in ("histograms=true", "graph=true", "embeddings=30")
    ]
    for name, choices in zip(RUNS, (options, ["optimizer=adamw", "model.filters=2"]), strict=True):
        done = run_script("train.py", *settings, *choices, f"output_dir=outputs/{name}", cwd=cwd)
        assert (done.returncode, done.stderr) == (0, "")
    return cwd / "outputs"


class Server:
    """A TensorBoard process.

    Args:
        logdir: The folder that it shows.
        options: More command-line arguments.
    """

    def __init__(self, logdir: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port=0", *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        line = next(line for line in self.process.stderr if "http://" in line)
        self.url = "http" + line.split("http")[1].split()[0].rstrip("/")

    def get(self, path: str, body: Any = None) -> Any:
        """Return the answer to a request: JSON, or other text."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"})
        with urlopen(request) as answer:
            text = answer.read().decode()
        return json.loads(text) if text[:1] in "[{" else text

    def wait_for_runs(self) -> list[str]:
        """Return the names of the runs once TensorBoard has read both to the end."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                scalars = self.get("/data/plugin/scalars/tags")
            except URLError:
                scalars = {}
            if sum("result/minutes" in tags for tags in scalars.values()) >= len(RUNS):
                break
            time.sleep(0.3)
        runs: list[str] = self.get("/data/runs")
        return runs

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


@pytest.fixture(scope="module")
def server(outputs: Path) -> Iterator[Server]:
    server = Server(outputs)
    server.wait_for_runs()
    yield server
    server.stop()


@pytest.fixture
def tab(server: Server, page: "Page") -> Iterator["Page"]:
    """Return a page that sends no request to another address."""
    foreign: list[str] = []
    page.on("request", lambda r: None if r.url.startswith((server.url, "data:")) else foreign.append(r.url))
    page.set_viewport_size({"width": 1400, "height": 1000})
    yield page
    assert foreign == []


def test_every_run_is_shown_once_by_both_ways_to_read(outputs: Path, server: Server) -> None:
    assert (outputs / "latest/result.json").is_file()
    assert server.get("/data/runs") == RUNS
    other = Server(outputs, "--load_fast=false")
    try:
        assert other.wait_for_runs() == RUNS
    finally:
        other.stop()


def test_charts_show_training_and_validation_together(server: Server, tab: "Page") -> None:
    tab.goto(f"{server.url}/#custom_scalars")
    for title in CHARTS:
        chart = tab.locator("tf-custom-scalar-multi-line-chart-card").filter(has_text=title).first
        chart.scroll_into_view_if_needed()
        chart.locator("path.line").first.wait_for(state="attached")
    accuracy = tab.locator("tf-custom-scalar-multi-line-chart-card").first
    accuracy.scroll_into_view_if_needed()
    accuracy.get_by_text("Matches (4)").wait_for()  # train and val of two runs


def test_images_and_curves_are_shown(server: Server, tab: "Page") -> None:
    tab.goto(f"{server.url}/#images")
    image = tab.locator("tf-image-loader img").first
    image.wait_for()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    tab.goto(f"{server.url}/#pr_curves")
    tab.reload()
    tab.get_by_text("test_precision_recall/0").first.wait_for()
    tab.locator("tf-pr-curve-card path.line").first.wait_for(state="attached")
    tags = server.get("/data/plugin/images/tags")
    for run in RUNS:
        for stage in ("val", "test"):
            assert tags[run].keys() >= {f"{stage}/{name}" for name in IMAGES}
        assert "train/augmented_images" in tags[run]
        assert len(server.get("/data/plugin/pr_curves/tags")[run]) == 20


def test_hparams_compare_runs_with_the_same_columns(server: Server, tab: "Page") -> None:
    tab.goto(f"{server.url}/#hparams")
    table, columns_pane = tab.locator("tf-hparams-table-view"), tab.locator("tf-hparams-query-pane")
    for text in ("filters", "result/val_accuracy", "result/test_accuracy", *RUNS):
        table.get_by_text(text, exact=True).first.wait_for(state="attached")
    for text in ("optimizer", *(f"result/{name}" for name in RESULTS)):
        columns_pane.get_by_text(text, exact=True).first.wait_for(state="attached")
    question = {"experimentName": "", "hparamsLimit": 0}
    experiment = server.get("/data/plugin/hparams/experiment", question)
    columns = [{"metric": info["name"], "includeInResult": True} for info in experiment["metricInfos"]]
    columns += [{"hparam": i["name"], "includeInResult": True} for i in experiment["hparamInfos"]]
    question = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN"],
        "colParams": columns,
        "startIndex": 0,
        "sliceSize": 10,
    }
    groups = server.get("/data/plugin/hparams/session_groups", question)["sessionGroups"]
    assert sorted(group["hparams"]["optimizer"] for group in groups) == ["AdamW", "SGD"]
    for group in groups:
        assert {metric["name"]["tag"] for metric in group["metricValues"]} == {f"result/{n}" for n in RESULTS}


def test_options_and_configuration_are_shown(server: Server) -> None:
    assert server.get("/data/plugin/text/tags")["first"] == ["configuration/text_summary"]
    (text,) = server.get("/data/plugin/text/text?run=first&tag=configuration/text_summary")
    assert "histograms: true" in text["text"]
    histograms = server.get("/data/plugin/histograms/tags")
    assert {tag.partition("/")[0] for tag in histograms["first"]} == {"weights", "gradients"}
    assert "sweep/0" not in histograms
    assert server.get("/data/plugin/graphs/info").keys() == {"first"}
    assert "features" in server.get("/data/plugin/graphs/graph?run=first&conceptual=false")
    (embedding,) = server.get("/data/plugin/projector/info?run=first")["embeddings"]
    assert embedding["tensorShape"] == [30, 1280]
    labels = server.get("/data/plugin/projector/metadata?run=first&name=test%20images").split()
    assert labels == [str(i % 10) for i in range(30)]

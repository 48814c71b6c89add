"""Fixtures: tiny data sets in the real file formats, scripts as processes, one short finished run."""

import functools
import gzip
import importlib.util
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fork_server import SERVER
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mobilenet_lab.config.validate import check
from mobilenet_lab.runs.run_path import run_path
from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.register_assert_rewrite("runs_under_test", "ranks_under_test", "reports_under_test")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
SCREENSHOTS = ROOT / "build/screenshots"  # what browsers showed in the tests
NUM_TINY_TRAIN, NUM_TINY_TEST = 120, 40

Script = Callable[..., subprocess.CompletedProcess[Any]]


PROCESS_FIXTURES = {"script", "fresh_script", "tiny_run", "mnist_run", "onnx_file", "browser"}


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test a tier: `unit` or `run` by its fixtures. Deselect `soak` unless it is asked for."""
    if "soak" not in config.option.markexpr:
        soak = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=soak)
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in ("run", "soak")):
            starts_processes = PROCESS_FIXTURES & set(item.fixturenames)  # type: ignore[attr-defined]
            item.add_marker("run" if starts_processes else "unit")


@pytest.fixture(autouse=True)
def unit_tests_start_no_python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test of the unit tier fail that starts a Python process."""
    if not request.node.get_closest_marker("unit"):
        return
    start = subprocess.Popen.__init__

    def refuse_python(self: subprocess.Popen[Any], args: Any, *others: Any, **options: Any) -> None:
        command = [args] if isinstance(args, str) else list(args)
        assert command[0] != sys.executable, "mark this test with pytest.mark.run"
        start(self, args, *others, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse_python)


def idx_bytes(values: np.ndarray) -> bytes:
    """Return an IDX file, written from the description of the format without the project's code."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def digit_images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images of 28 x 28 pixels, with a bright bar in one of ten places, and their labels."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = random.integers(0, 30, (count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 5)
        image[4 + 11 * row : 13 + 11 * row, 3 + 5 * column : 6 + 5 * column] = 250
    return images, labels


def write_idx_files(folder: Path, packed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count, seed in [("train", NUM_TINY_TRAIN, 1), ("t10k", NUM_TINY_TEST, 2)]:
        images, labels = digit_images(count, seed)
        for name, values in [("images-idx3", images), ("labels-idx1", labels)]:
            path = folder / f"{prefix}-{name}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx_bytes(values)) if packed else idx_bytes(values))


@pytest.fixture(scope="session")
def tiny_idx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny data set in the four files of MNIST."""
    folder = tmp_path_factory.mktemp("idx")
    write_idx_files(folder)
    return folder


def run_script(
    script: str, *arguments: str, cwd: Path, fresh: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a root script as a user would, and wait.

    Args:
        script: The script's name.
        arguments: The script's arguments.
        cwd: The working directory.
        fresh: Start a new Python process, with all its imports, instead of forking one that has them.
        options: `input` and `timeout` as in `subprocess.run`; `limits` for `resource.setrlimit`.
    """
    command = [str(ROOT / script), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    options = {"timeout": 300, "cwd": cwd, "env": environment} | options
    if not fresh and SERVER.can_run(environment):
        return SERVER.run(command, **options)
    text = not isinstance(options.get("input"), bytes)
    if limits := options.pop("limits", {}):
        options["preexec_fn"] = lambda: [resource.setrlimit(key, (n, n)) for key, n in limits.items()]
    return subprocess.run([sys.executable, *command], capture_output=True, text=text, check=False, **options)


def seconds_of_children() -> float:
    """Return the CPU seconds of ended child processes, which do not depend on other load."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows of a run: (step, value) pairs by tag."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds; fail after some seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"still false after {seconds} s"
        time.sleep(0.1)


def composed(*overrides: str, script: str = "train") -> DictConfig:
    """Return a script's configuration, with the global `HydraConfig` set, as `hydra.main` does."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose(script, overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        check(cfg)
    return cfg


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a function that runs a root script in an empty folder, in a forked process."""
    return functools.partial(run_script, cwd=tmp_path)


@pytest.fixture
def fresh_script(tmp_path: Path) -> Script:
    """Return a function that runs a root script in an empty folder, in a new process with all its imports."""
    return functools.partial(run_script, cwd=tmp_path, fresh=True)


TINY_RUN = (
    "data=idx",
    "data.source.mnist_style=true",
    "data.val_split=20",
    "data.batch_size=16",
    "model.filters=1",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
    "callbacks.progress.log_every_n_seconds=0",
)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_idx: Path) -> Path:
    """Return the folder of a finished run on the tiny data set; its output is in stdout.txt."""
    cwd = tmp_path_factory.mktemp("run")
    # A new process, so that tests of equal bits compare forked processes with a real one
    done = run_script("train.py", *TINY_RUN, f"data.root={tiny_idx}", cwd=cwd, fresh=True)
    assert done.returncode == 0, done.stderr
    (cwd / "stdout.txt").write_text(done.stdout)
    (cwd / "stderr.txt").write_text(done.stderr)
    return run_path(cwd / "outputs/latest")


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a short run on the 60,000 images: a third of the default epochs, at half the default width.

    Batches of 64 give it twice the steps, enough to read every drawing of tests/pen_strokes.py.

    Tests that use it belong to the xdist group "mnist_run", so that one process trains it.
    """
    cwd = tmp_path_factory.mktemp("mnist")
    done = run_script(
        "train.py",
        f"data.root={DATA}",
        "model.filters=2",
        "data.batch_size=64",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "output_dir=run",
        cwd=cwd,
        timeout=550,
        fresh=True,
    )
    assert done.returncode == 0, done.stderr
    return cwd / "run"


@pytest.fixture(scope="session")
def web_runtime_or_skip() -> None:
    """Skip tests of pages where ONNX Runtime Web is not there and cannot be downloaded."""
    from mobilenet_lab.export.web_runtime import web_runtime

    try:
        web_runtime()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """Return torchvision's file of ImageNet weights; skip the test where no source of it is reachable."""
    from mobilenet_lab.checkpoints.imagenet import imagenet_checkpoint
    from mobilenet_lab.checkpoints.imagenet_download import fetch_weights
    from mobilenet_lab.runtime.user_cache import user_cache_folder

    try:
        imagenet_checkpoint("ckpt")
        return fetch_weights(user_cache_folder())
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """Return photographs that scikit-image ships: a cat, a cup of coffee, and a rocket."""
    folder = importlib.util.find_spec("skimage")
    if folder is None or folder.origin is None:
        pytest.skip("scikit-image is not installed")
    return [
        Path(folder.origin).parent / "data" / name for name in ("chelsea.png", "coffee.png", "rocket.jpg")
    ]


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, tiny_idx: Path) -> Path:
    """Return the tiny run as an ONNX file, written by export.py; its JSON report is in report.json."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    cwd = tmp_path_factory.mktemp("onnx")
    data = ("data=idx", f"data.root={tiny_idx}")
    # A new process, whose warnings are those that a user sees
    done = run_script(
        "export.py", f"ckpt={tiny_run}", *data, "output=model.onnx", "report=json", cwd=cwd, fresh=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    (cwd / "report.json").write_text(done.stdout)
    return cwd / "model.onnx"


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Return a headless Chromium, the system's."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # As root, Chromium starts without its sandbox only.
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "Browser", request: pytest.FixtureRequest) -> "Iterator[Page]":
    """Return an empty page; its screenshot is kept in build/screenshots, also if the test fails."""
    tab = browser.new_page()
    yield tab
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")
    tab.close()

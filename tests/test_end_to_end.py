"""Training, evaluation and prediction on MNIST, which the project downloads on first use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, ROOT, Script
from handwriting import draw_digit
from photographs import CONDITIONS, take
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.data.datasets.mnist import MNIST_SHA256, mnist
from mobilenet_lab.data.transforms.mnist_style import is_mnist_style

pytestmark = [pytest.mark.run, pytest.mark.xdist_group("mnist_run")]

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSerif-Italic.ttf",
    "DejaVuSansMono.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralItalic.ttf",
    "cmr10.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
    "DejaVuSans-Bold.ttf",
)


def test_mnist_has_its_published_counts_and_moments(mnist_run: Path) -> None:
    assert {path.name for path in (DATA / "mnist").iterdir()} >= set(MNIST_SHA256)
    train, test = (mnist(str(DATA)).open(split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert all(is_mnist_style(image) for image in test.images[:1000])
    # The well-known mean and standard deviation of the training pixels
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_short_run_learns(mnist_run: Path) -> None:
    result = json.loads((mnist_run / "result.json").read_text())
    assert result["test/accuracy"] > 0.97
    assert result["val/accuracy"] > 0.97
    assert result["train/accuracy"] > 0.80


def test_evaluation_agrees_with_training(script: Script, mnist_run: Path) -> None:
    done = script("evaluate.py", f"ckpt={mnist_run}", "data=mnist", f"data.root={DATA}", "format=json")
    result = json.loads((mnist_run / "result.json").read_text())
    assert json.loads(done.stdout)["accuracy"] == pytest.approx(result["test/accuracy"], abs=1e-4)


def test_png_files_of_test_images_are_classified(script: Script, mnist_run: Path, tmp_path: Path) -> None:
    test = mnist(str(DATA)).open("test")
    for i in range(30):
        Image.fromarray(test.images[i]).save(tmp_path / f"{i:02d}_{test.labels[i]}.png")
    done = script("predict.py", f"ckpt={mnist_run}", f"image={tmp_path}/*.png", "format=json")
    entries = json.loads(done.stdout)
    correct = sum(entry["class"] == Path(entry["image"]).stem[-1] for entry in entries)
    assert correct >= 29


def test_digits_written_with_a_dark_pen_on_white_paper_are_classified(
    script: Script, mnist_run: Path, tmp_path: Path
) -> None:
    for digit, font in enumerate(FONTS):
        draw_digit(digit, font).save(tmp_path / f"{digit}.png")
    done = script("predict.py", f"ckpt={mnist_run}", f"image={tmp_path}/*.png", "format=json")
    entries = json.loads(done.stdout)
    assert sum(entry["class"] == Path(entry["image"]).stem for entry in entries) >= 8


def test_photographs_of_digits_are_classified(mnist_run: Path) -> None:
    predictor = Predictor(mnist_run)
    for condition in CONDITIONS:
        photographs = [
            (take(condition, font, str(digit)), str(digit))
            for font in ("DejaVuSans", "DejaVuSerif-Italic", "cmss10")
            for digit in range(10)
        ]
        answers = predictor([image for image, _ in photographs])
        correct = sum(
            answer.class_name == digit for answer, (_, digit) in zip(answers, photographs, strict=True)
        )
        assert correct >= 27, condition


MEASURE = """
import re, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    status = open("/proc/self/status").read()
    print("anonymous", re.search(r"RssAnon:\\s+(\\d+)", status)[1])
"""


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_data_set_a_hundred_times_as_large_takes_no_more_memory(tmp_path: Path) -> None:
    """Six million images are in a sparse file. The pages of the mapped file do not count as memory."""
    mnist(str(DATA)).prepare()
    large = tmp_path / "large"
    large.mkdir()
    for prefix, count in [("train", 6_000_000), ("t10k", 10_000)]:
        for name, shape in [("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))]:
            header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
            path = large / f"{prefix}-{name}-ubyte"
            path.write_bytes(header)
            os.truncate(path, len(header) + int(np.prod(shape)))
        with (large / f"{prefix}-labels-idx1-ubyte").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(bytes([9]))
    assert (large / "train-images-idx3-ubyte").stat().st_size > 4_700_000_000
    anonymous = {}
    for name, root in [("mnist", DATA / "mnist"), ("large", large)]:
        done = subprocess.run(
            [
                *(sys.executable, "-c", MEASURE, str(ROOT / "train.py"), "data=idx", f"data.root={root}"),
                *("model.filters=2", "trainer.max_epochs=1", "trainer.limit_train_batches=50"),
                *("trainer.limit_val_batches=5", "trainer.limit_test_batches=5", "trainer.accelerator=cpu"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        anonymous[name] = int(done.stdout.split("anonymous")[1])  # kB
    assert anonymous["large"] - anonymous["mnist"] < 50_000

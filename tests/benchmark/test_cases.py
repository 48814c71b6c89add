import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from torch import Tensor

from mobilenet_lab.benchmark.cases import CASES as CASE_LIST
from mobilenet_lab.benchmark.settings import Settings
from mobilenet_lab.benchmark.training import reference_overrides
from mobilenet_lab.data.transforms.mixup import MixUp
from mobilenet_lab.data.transforms.random_resized_crop import RandomResizedCrop

CASES = ("train", "floor", "naive", "loader", "predict_folder", "decode_folder", "config_error")


def benchmark(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mobilenet_lab.benchmark", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


@pytest.mark.run
def test_benchmark_writes_figures_and_a_table(tmp_path: Path) -> None:
    data, output = f"--data={ROOT / 'data'}", f"--output={tmp_path}"
    done = benchmark("--quick", "--filters=4", data, output, "--only", *CASES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "latest.json").read_text())
    for case in CASES[:-1]:
        assert summary[f"{case}.images_per_second"] > 0
        assert summary[f"{case}.peak_memory_mb"] > 1
    assert 0.2 < summary["config_error.seconds"] < 20
    # The margins exceed the noise of a shared machine.
    assert summary["train_per_naive"] > 1
    assert summary["loader.images_per_second"] > 100 * summary["train.images_per_second"]
    table = (tmp_path / "latest.md").read_text()
    assert table in done.stdout
    assert "| training: bare loop over tensors in memory |" in table


@pytest.mark.run
@pytest.mark.parametrize("argument", ["--image-size=27", "--image-size=26", "--filters=6", "--filters=0"])
def test_invalid_size_is_refused(argument: str, tmp_path: Path) -> None:
    done = benchmark(argument, cwd=tmp_path)
    assert done.returncode == 2
    assert f"error: {argument}: must be " in done.stderr


@pytest.mark.parametrize("name", ["photo_crop", "mixup"])
def test_transforms_are_timed_on_batches_of_photographs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def record(self: object, images: Tensor, **arguments: object) -> None:
        shapes.append(tuple(images.shape))

    monkeypatch.setattr(RandomResizedCrop, "__call__", record)
    monkeypatch.setattr(MixUp, "__call__", record)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    settings = Settings(8, 32, 1, 128, 10, 100, Path("data"), Path("work"))
    assert CASE_LIST[name].run(settings)["images_per_second"] > 0
    assert shapes == [(64, 3, 256, 256) if name == "photo_crop" else (64, 3, 224, 224)] * 6


def test_reference_case_trains_the_reference_recipe() -> None:
    settings = Settings(4, 32, 1, 128, 10, 100, Path("data"), Path("work"))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        measured = compose("train", reference_overrides(settings))
        recipe = compose("train", ["experiment=reference"])
    for key in ("model", "task", "augmentation", "optimizer", "scheduler"):
        assert measured[key] == recipe[key]
    for key in ("image_size", "channels", "batch_size"):
        assert measured.data[key] == recipe.data[key]

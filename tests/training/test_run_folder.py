"""The files that a run writes, and its output."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import NUM_TINY_TEST, TINY_RUN, Script
from PIL import Image
from runs_under_test import KILLED, differences, load_checkpoint, result_of, stop_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mobilenet_lab.runs.run_path import run_path

METRICS = {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy"}


def test_run_folder_is_complete(tiny_run: Path) -> None:
    names = {path.name for path in tiny_run.iterdir() if not path.name.startswith("events.")}
    assert names == {
        "checkpoints",
        "config.yaml",
        "confusion.png",
        "curves.png",
        "metrics.csv",
        "report.html",
        "result.json",
    }
    assert {path.name for path in (tiny_run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for image in ("confusion.png", "curves.png"):
        with Image.open(tiny_run / image) as opened:
            assert min(opened.size) > 300


def test_latest_is_a_relative_link(tiny_run: Path) -> None:
    latest = tiny_run.parents[1] / "latest"
    assert latest.is_symlink()
    assert not latest.readlink().is_absolute()
    assert run_path(latest) == tiny_run


def test_result_has_the_documented_keys(tiny_run: Path) -> None:
    result = result_of(tiny_run)
    for key in ("train/accuracy", "val/accuracy", "test/accuracy"):
        assert 0 <= result[key] <= 1
    # Of 40 images, a whole number is classified correctly.
    assert (result["test/accuracy"] * NUM_TINY_TEST) % 1 == pytest.approx(0, abs=1e-4)
    assert result["epochs"] == 2
    assert result["images_per_second"] > 0
    assert result["fit_seconds"] > 0
    assert result["parameters"] > 50_000
    assert result["macs"] > 100_000
    assert Path(result["checkpoint"]).name == "best.ckpt"
    assert "train.py data=idx" in result["command"]


def test_config_is_resolved(tiny_run: Path) -> None:
    config = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert config["model"]["filters"] == 1
    assert "${" not in (tiny_run / "config.yaml").read_text()


def test_checkpoints_hold_only_plain_values(tiny_run: Path) -> None:
    for name in ("best", "last"):
        checkpoint = load_checkpoint(tiny_run, name)
        assert {"state_dict", "hyper_parameters", "epoch", "global_step"} <= set(checkpoint)
        json.dumps(checkpoint["hyper_parameters"])


def test_metrics_are_logged_to_csv_and_tensorboard(tiny_run: Path) -> None:
    with (tiny_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {key for row in rows for key, value in row.items() if value}
    assert logged >= METRICS | {"step/learning_rate", "step/loss", "step/accuracy"}
    events = EventAccumulator(str(tiny_run)).Reload()
    assert set(events.Tags()["scalars"]) >= METRICS | {"step/learning_rate"}
    assert len(events.Scalars("val/accuracy")) >= 2
    assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_output_is_short_and_readable(tiny_run: Path) -> None:
    stdout = (tiny_run.parents[2] / "stdout.txt").read_text()
    lines = stdout.splitlines()
    assert lines[0].startswith("model    mobilenet_v2(filters=1),")
    assert "data     idx: 100 training, 20 validation, 40 test images" in lines
    assert "batches  16 images of 28x28x1" in lines
    assert any(line.split()[:2] == ["sum", "105,376"] for line in lines)  # of the table of stages
    assert all(len(line) <= 80 for line in lines if "outputs/" not in line)
    steps = [line for line in lines if line.startswith("epoch 2/2, step")]
    assert re.fullmatch(r"epoch 2/2, step 7 of 7: loss [\d.]+, [\d,]+ images/s, 0:0\d left", steps[-1])
    assert any(line.startswith("epoch 2/2: accuracy train") for line in lines)
    assert lines[-4].startswith("accuracy  training ")
    assert lines[-3].startswith("run       outputs/")
    assert lines[-2].startswith("predict   python predict.py ckpt=outputs/")
    assert lines[-1].startswith("report    outputs/")
    assert "litmodels" not in stdout
    assert (tiny_run.parents[2] / "stderr.txt").read_text() == ""


def test_latest_ignores_a_run_without_checkpoints(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = (*TINY_RUN[:-2], f"data.root={tiny_idx}", "trainer.limit_train_batches=2")
    assert script("train.py", *settings, "output_dir=run").returncode == 0
    assert script("train.py", *settings, "output_dir=other", "callbacks=progress").returncode == 0
    assert run_path(tmp_path / "outputs/latest") == tmp_path / "run"


def test_config_groups_can_be_deleted(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [s for s in TINY_RUN if not s.startswith("callbacks")]
    done = script("train.py", *settings, f"data.root={tiny_idx}", "output_dir=run", "~callbacks", "~logger")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.yaml",
        "confusion.png",
        "curves.png",
        "report.html",
        "result.json",
    }


def test_failed_command_leaves_an_earlier_run_unchanged(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run")
    for command in (["overwrite=true", "+logger.mine._target_=nowhere.Logger"], ["seed=1"]):
        done = script("train.py", *settings, *command)
        assert done.returncode == 2
        assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert done.stderr.startswith("error: output_dir=run: the folder holds a run; use resume=auto ")
    assert done.stderr.count("\n") == 1


def test_overwriting_run_removes_only_the_files_of_an_earlier_run(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    assert script("train.py", *settings, "seed=1").returncode == 0
    mine = tmp_path / "run/checkpoints/mine.ckpt"
    shutil.copy(tmp_path / "run/checkpoints/best.ckpt", mine)
    done = script("train.py", *settings, "overwrite=true", *stop_after("steps=3"))
    assert done.returncode == KILLED
    assert list((tmp_path / "run/checkpoints").iterdir()) == [mine]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not {"result.json", "curves.png", "confusion.png"} & names


def test_run_without_checkpoint_callbacks_keeps_earlier_checkpoints(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "callbacks=progress", "trainer.max_epochs=3"]
    for folder in ("run", "another"):
        done = script("train.py", *settings, "resume=run", f"output_dir={folder}")
        assert done.returncode == 0, done.stderr
        result = result_of(tmp_path / folder)
        assert (result["epochs"], result["checkpoint"]) == (3, None)
    assert differences(load_checkpoint(tmp_path / "run", "best"), load_checkpoint(tiny_run, "best")) == []
    assert not (tmp_path / "another/checkpoints/best.ckpt").exists()

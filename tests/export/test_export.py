import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Script, digit_images, run_script, seconds_of_children
from PIL import Image

from mobilenet_lab.export.runtimes import open_torch
from mobilenet_lab.runs.folder import RunFolder


def test_int8_is_reported_next_to_single_precision(
    script: Script, onnx_file: Path, tiny_run: Path, tiny_idx: Path, tmp_path: Path
) -> None:
    data = ("data=idx", f"data.root={tiny_idx}", "calibration_images=60")
    limits = ("max_accuracy_loss=0.1", "output=small.onnx")
    done = script("export.py", f"ckpt={tiny_run}", "format=onnx_int8", *data, *limits)
    assert (done.returncode, done.stderr) == (0, "")
    title, _, header, *rows = done.stdout.splitlines()
    assert title == f"exported {tiny_run}/checkpoints/best.ckpt to small.onnx"
    assert header.split() == ["size", "accuracy", "difference", "latency", "images/s"]
    assert [row.split(" ")[0] for row in rows[:3]] == ["checkpoint", "onnx", "onnx_int8"]
    assert (tmp_path / "small.onnx").stat().st_size < 0.7 * onnx_file.stat().st_size
    assert list(tmp_path.iterdir()) == [tmp_path / "small.onnx"]


@pytest.fixture(scope="module")
def run_copy(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the tiny run, because an export adds a file to the folder of its run."""
    return RunFolder(shutil.copytree(tiny_run, tmp_path_factory.mktemp("torch") / "run"))


@pytest.fixture(scope="module")
def torch_export(run_copy: RunFolder) -> subprocess.CompletedProcess[str]:
    """Export a run without its data set, whose folder is not known."""
    command = (f"ckpt={run_copy}", "format=torch_export", "report=json")
    return run_script("export.py", *command, cwd=Path(run_copy).parent)


def test_torch_export_without_the_data_set(
    torch_export: subprocess.CompletedProcess[str], run_copy: RunFolder
) -> None:
    assert torch_export.returncode == 0
    assert torch_export.stderr.count("\n") == 1
    assert "folder is not known; add data=idx data.root=...; the export is compared" in torch_export.stderr
    report = json.loads(torch_export.stdout)
    path = run_copy.exported("torch_export")
    assert report["output"] == str(path.relative_to(Path(run_copy).parent))
    assert (report["data"], report["images"]) == ("generated images", 320)
    assert [model["accuracy"] for model in report["models"]] == [None, None]
    probabilities = open_torch(path, 1)(digit_images(3, seed=1)[0][:, None])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert str(ROOT).encode() not in path.read_bytes()


PROGRAMS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/export.md").read_text(), re.DOTALL | re.MULTILINE
)


def test_first_program_in_the_guide_is_short() -> None:
    assert sum(bool(line.strip()) for line in PROGRAMS[0].splitlines()) <= 15


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_program_in_the_guide_answers_like_predict(
    onnx_file: Path,
    torch_export: subprocess.CompletedProcess[str],
    run_copy: RunFolder,
    script: Script,
    tmp_path: Path,
    runtime: str,
) -> None:
    (program,) = (text for text in PROGRAMS if f"import {runtime}\n" in text and "executorch" not in text)
    (tmp_path / "classify.py").write_text(program)
    shutil.copy(onnx_file, tmp_path / "model.onnx")
    shutil.copy(run_copy.exported("torch_export"), tmp_path / "model.pt2")
    names = ["a.png", "b.png"]
    for name, pixels in zip(names, digit_images(2, seed=4)[0], strict=True):
        Image.fromarray(pixels).save(tmp_path / name)
    command = [sys.executable, "-I", "classify.py", *names]  # -I: only installed packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    settings = (f"ckpt={run_copy}", "preprocess=none", "min_confidence=0")
    assert done.stdout == script("predict.py", *settings, f"image=[{','.join(names)}]").stdout


def test_export_that_differs_is_not_written(script: Script, tiny_run: Path, tmp_path: Path) -> None:
    settings = ("format=torch_export", "verify=generated", "output=x.pt2", "tolerance=0")
    done = script("export.py", f"ckpt={tiny_run}", *settings)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: format=torch_export: a probability differs from the checkpoint's by "
    )
    assert done.stderr.endswith(", more than tolerance=0; no file was written\n")
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])


def test_int8_needs_training_images(script: Script, tiny_run: Path) -> None:
    pytest.importorskip("onnx")
    done = script("export.py", f"ckpt={tiny_run}", "format=onnx_int8", "verify=generated")
    assert done.returncode == 2
    assert done.stderr == (
        "error: format=onnx_int8: needs training images to calibrate with; remove verify=generated\n"
    )


def test_exported_model_is_not_exported_again(script: Script, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    done = script("export.py", "ckpt=model.onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("model.onnx: is already exported; use the checkpoint it was exported from\n")


@pytest.mark.skipif(importlib.util.find_spec("executorch") is not None, reason="executorch is installed")
def test_missing_package_is_named_at_once(fresh_script: Script, tiny_run: Path) -> None:
    began = seconds_of_children()
    done = fresh_script("export.py", f"ckpt={tiny_run}", "format=executorch")
    assert seconds_of_children() - began < 2
    assert done.returncode == 2
    assert done.stderr == (
        'error: format=executorch: needs the package executorch; pip install -e ".[executorch]"\n'
    )


def test_executorch(fresh_script: Script, tiny_run: Path, tiny_idx: Path) -> None:
    pytest.importorskip("executorch")
    data = ("data=idx", f"data.root={tiny_idx}", "report=json", "output=x.pte")
    done = fresh_script("export.py", f"ckpt={tiny_run}", "format=executorch", *data)
    assert (done.returncode, done.stderr) == (0, "")
    checkpoint, export = json.loads(done.stdout)["models"]
    assert checkpoint["accuracy"] == export["accuracy"]


def test_help_is_fast(fresh_script: Script) -> None:
    began = seconds_of_children()
    done = fresh_script("export.py", "--help")
    assert seconds_of_children() - began < 2
    assert "format=onnx_int8" in done.stdout

"""predict.py and evaluate.py with an exported model: the answers of its checkpoint, without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import NUM_TINY_TEST, ROOT, Script, digit_images
from PIL import Image

from mobilenet_lab import Predictor

HEAVY = ("torch", "lightning", "torchmetrics", "tensorboard", "matplotlib", "onnx", "onnxscript", "scipy")
WITHOUT_HEAVY = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
MAX_MEGABYTES = 120
MAX_CPU_SECONDS = 1.0  # half of it on a machine that does nothing else


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with digits in MNIST's style, a drawing, a photograph and a blank image."""
    folder = tmp_path_factory.mktemp("images")
    for i, pixels in enumerate(digit_images(8, seed=3)[0]):
        Image.fromarray(pixels).save(folder / f"digit_{i}.png")
    drawing = np.full((90, 60, 3), 255, np.uint8)
    drawing[20:70, 28:33] = (0, 0, 90)
    Image.fromarray(drawing).save(folder / "drawing.png")
    random = np.random.default_rng(0)
    photo = random.normal(150, 4, (300, 400, 3)) + np.linspace(0, 60, 400)[:, None]
    photo[80:220, 190:204] -= 90
    Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / "photo.jpg")
    Image.new("L", (50, 50), 200).save(folder / "blank.png")
    return folder


@pytest.fixture
def without_pytorch(tmp_path: Path) -> dict[str, str]:
    """Return the environment of processes that cannot import PyTorch and the like."""
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker/sitecustomize.py").write_text(WITHOUT_HEAVY)
    return os.environ | {"PYTHONPATH": str(tmp_path / "blocker")}


def run(*arguments: object, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )


def assert_close(answers: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for answer, other in zip(answers, expected, strict=True):
        for key in ("image", "class", "note"):
            assert answer[key] == other[key]
        assert answer["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


@pytest.mark.parametrize("preprocess", ["auto", "none"])
def test_answers_equal_those_of_the_checkpoint(
    script: Script, tiny_run: Path, onnx_file: Path, images: Path, preprocess: str
) -> None:
    settings = (f"image={images}", f"preprocess={preprocess}", "format=json", "batch_size=4")
    done, reference = (script("predict.py", f"ckpt={ckpt}", *settings) for ckpt in (onnx_file, tiny_run))
    assert (done.returncode, done.stderr) == (reference.returncode, "")
    answers, expected = json.loads(done.stdout), json.loads(reference.stdout)
    assert_close(answers, expected)
    assert len(answers) == 11
    names = [Path(answer["image"]).name for answer in answers if answer["class"] is None]
    assert names == (["blank.png"] if preprocess == "auto" else [])


def test_predictor_gives_the_probabilities_of_the_checkpoint(tiny_run: Path, onnx_file: Path) -> None:
    pixels = digit_images(64, seed=4)[0][:, None]
    exported, original = Predictor(onnx_file), Predictor(tiny_run)
    assert (exported.classes, exported.min_confidence) == (original.classes, original.min_confidence)
    expected = original.probabilities(pixels)
    np.testing.assert_allclose(exported.probabilities(pixels), expected, atol=1e-5)
    mean = Predictor([onnx_file, onnx_file]).probabilities(pixels)
    np.testing.assert_allclose(mean, expected, atol=1e-5)


def test_prediction_works_where_pytorch_is_not_installed(
    tmp_path: Path, tiny_run: Path, onnx_file: Path, images: Path, without_pytorch: dict[str, str]
) -> None:
    predict = ROOT / "predict.py"
    for output in ("text", "csv"):
        done = run(predict, f"ckpt={onnx_file}", f"image={images}", f"format={output}",
                   env=without_pytorch, cwd=tmp_path)  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "")  # the blank image has no class
        assert f"{images}/photo.jpg" in done.stdout
        assert done.stdout.count("\n") == 11 + (output == "csv")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "from mobilenet_lab import Predictor\n"
        f"print(Predictor({str(onnx_file)!r})({str(images / 'digit_3.png')!r})[0].class_name)"
    )
    done = run("-c", program, env=without_pytorch, cwd=tmp_path)
    (expected,) = Predictor(tiny_run)(images / "digit_3.png")
    assert (done.stdout, done.stderr) == (f"{expected.class_name}\n", "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["predict.py", "image=x.png", "ckpt={ckpt}"], "ckpt={ckpt}: needs PyTorch, which is not installed;"),
        (
            ["evaluate.py", "ckpt={onnx}"],
            "evaluate.py: needs torch, which is not installed; install it, or all",
        ),
        (["train.py"], "train.py: needs torch, which is not installed; install it, or all packages"),
    ],
)
def test_scripts_name_what_is_not_installed(
    tmp_path: Path,
    tiny_run: Path,
    onnx_file: Path,
    without_pytorch: dict[str, str],
    command: list[str],
    message: str,
) -> None:
    files = {"ckpt": str(tiny_run / "checkpoints/best.ckpt"), "onnx": str(onnx_file)}
    script, *arguments = (argument.format(**files) for argument in command)
    done = run(ROOT / script, *arguments, env=without_pytorch, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {message.format(**files)}")


def test_prediction_starts_fast_and_in_little_memory(tmp_path: Path, onnx_file: Path, images: Path) -> None:
    program = f"""
import runpy, sys, time
sys.argv = [{str(ROOT / "predict.py")!r}, "ckpt={onnx_file}", "image={images / "digit_3.png"}"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    status = open("/proc/self/status").read()
    print(status.split("VmHWM:")[1].split()[0], time.process_time(), file=sys.stderr)
"""
    done = run("-c", program, env=dict(os.environ), cwd=tmp_path)
    assert done.returncode == 0
    kilobytes, seconds = done.stderr.split()
    assert int(kilobytes) / 1024 < MAX_MEGABYTES
    assert float(seconds) < MAX_CPU_SECONDS


def test_image_from_standard_input(script: Script, onnx_file: Path, images: Path) -> None:
    content = (images / "digit_3.png").read_bytes()
    done = script("predict.py", f"ckpt={onnx_file}", "image=-", input=content)
    named = script("predict.py", f"ckpt={onnx_file}", f"image={images / 'digit_3.png'}")
    answer = named.stdout.rpartition(": ")[2]
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"-: {answer}", b"")


def test_evaluation_equals_that_of_the_checkpoint(
    script: Script, tiny_run: Path, onnx_file: Path, tiny_idx: Path
) -> None:
    for split, count in (("test", NUM_TINY_TEST), ("val", 20)):
        data = ("data=idx", f"data.root={tiny_idx}", f"split={split}", "tta_shifts=1", "format=json")
        done, reference = (script("evaluate.py", f"ckpt={ckpt}", *data) for ckpt in (onnx_file, tiny_run))
        assert (done.returncode, done.stderr) == (0, "")
        measured, expected = json.loads(done.stdout), json.loads(reference.stdout)
        assert measured.pop("checkpoint") == str(onnx_file)
        del expected["checkpoint"]
        assert measured == expected
        assert measured["images"] == count


def test_sweep_runs_all_jobs_and_exits_with_the_worst_status(
    script: Script, onnx_file: Path, images: Path
) -> None:
    digit = images / "digit_3.png"
    done = script("predict.py", "-m", f"ckpt={onnx_file}", f"image={digit},none.png,{digit}")
    assert done.returncode == 1
    assert done.stdout.count(f"{digit}: ") == 2
    assert "error: image=none.png: no such file" in done.stderr


def test_ignored_setting_is_reported(script: Script, onnx_file: Path, images: Path) -> None:
    done = script("predict.py", f"ckpt={onnx_file}", f"image={images / 'digit_3.png'}", "fuse_bn=false")
    assert done.returncode == 0
    assert "fuse_bn=false: ignored, because BatchNorm is fused in ONNX files" in done.stderr

"""Training on image folders, and missing or corrupt inputs."""

from pathlib import Path

import pytest
from conftest import TINY_RUN, Script, digit_images
from PIL import Image
from runs_under_test import result_of


def test_image_folder_in_the_original_layout_trains(script: Script, tmp_path: Path) -> None:
    images, labels = digit_images(60, seed=3)
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / f"images (all)/{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((56, 56)).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
    done = script(
        "train.py",
        "data=image_folder",
        "data.root=images (all)",
        "data.batch_size=16",
        "model.filters=1",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "output_dir=run",
    )
    assert done.returncode == 0, done.stderr
    assert "48 training, 6 validation, 6 test images\nbatches  16 images of 56x56x3" in done.stdout
    assert result_of(tmp_path / "run")["test/accuracy"] is not None


def test_run_without_test_images_is_quiet(script: Script, tmp_path: Path) -> None:
    for label, name in enumerate(("猫", "犬", "10")):
        for i in range(8):
            (tmp_path / "images" / name).mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 80 * label + i).save(tmp_path / "images" / name / f"{i}.png")
    data = (
        "data=image_folder",
        "data.root=images",
        "data.image_size=16",
        "data.val_split=3",
        "data.test_split=0",
    )
    settings = (*TINY_RUN[3:], "data.batch_size=8", "trainer.max_epochs=1", "output_dir=run")
    done = script("train.py", *data, *settings, "task.class_weights='{犬: 2, 猫: 3}'")
    assert (done.returncode, done.stderr) == (0, "")
    assert "weights  10 1, 犬 2, 猫 3\n" in done.stdout
    assert "zero" not in done.stdout
    assert result_of(tmp_path / "run")["test/accuracy"] is None
    measured = script("evaluate.py", "ckpt=run", *data[:2], "split=val")
    assert (measured.returncode, measured.stderr) == (0, "")
    assert "of 3 images" in measured.stdout


def test_corrupt_image_is_one_line(script: Script, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("L", (8, 8), 9 * i).save(tmp_path / "images" / name / f"{i}.png")
    (tmp_path / "images/a/3.png").write_bytes(b"nothing")
    done = script(
        "train.py",
        *("data=image_folder", "data.root=images", "data.val_split=0"),
        *("data.batch_size=8", "model.filters=1"),
    )
    assert done.returncode == 2
    fix = "fix or remove the file, or leave out all such files with data.on_corrupt_image=skip"
    assert done.stderr == f"error: images/a/3.png: not an image; {fix}\n"


def test_evaluation_warns_if_its_images_may_have_been_trained_on(script: Script, tmp_path: Path) -> None:
    images, labels = digit_images(60, seed=1)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / f"images/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"images/{label}/{i}.png")
    files = ("data=image_folder", "data.root=images")
    settings = (*TINY_RUN[3:], "data.val_split=0", "trainer.max_epochs=1", "output_dir=run")
    done = script("train.py", *files, *settings)
    assert (done.returncode, done.stderr) == (0, "")
    other_split = script("evaluate.py", "ckpt=run", *files, "data.val_split=0.1")
    assert "was trained with another split" in other_split.stderr
    assert script("evaluate.py", "ckpt=run", *files).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=idx", "data.root=nowhere"], "nowhere/train-images-idx3-ubyte: no such file"),
        (["data=image_folder", "data.root=nowhere"], "data.root=nowhere: no such folder"),
        (["resume=nowhere"], "resume=nowhere: no checkpoint found; train a model first"),
    ],
)
def test_missing_inputs_are_one_line(script: Script, arguments: list[str], message: str) -> None:
    done = script("train.py", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1

import json
from pathlib import Path

import pytest
import torch
from conftest import NUM_TINY_TEST, Script

from mobilenet_lab.inference.measure import format_report, summarize_confusion


def test_evaluation_agrees_with_the_test_of_the_run(
    fresh_script: Script, tiny_run: Path, tiny_idx: Path
) -> None:
    done = fresh_script("evaluate.py", f"ckpt={tiny_run}", "data=idx", f"data.root={tiny_idx}", "format=json")
    assert (done.returncode, done.stderr) == (0, "")
    measured = json.loads(done.stdout)
    result = json.loads((tiny_run / "result.json").read_text())
    assert measured["accuracy"] == pytest.approx(result["test/accuracy"], abs=1e-4)
    assert measured["images"] == sum(map(sum, measured["confusion"])) == NUM_TINY_TEST


def test_different_split_is_reported(script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path) -> None:
    data = ["data=idx", f"data.root={tiny_idx}", "split=val", "format=json"]
    done = script("evaluate.py", f"ckpt={tiny_run}", *data, "data.val_split=30", "data.image_size=56")
    path = tiny_run / "checkpoints/best.ckpt"
    assert f"{path} was trained with another split (data.val_split=20)" in done.stderr
    assert "data.image_size: ignored" in done.stderr
    assert json.loads(done.stdout)["images"] == 30
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["data"]["images"] += 1
    torch.save(checkpoint, tmp_path / "more.ckpt")
    done = script("evaluate.py", "ckpt=more.ckpt", *data)
    assert "when the data set had 121 images, now it has 120" in done.stderr
    assert json.loads(done.stdout)["images"] == 20


@pytest.mark.parametrize(("split", "count"), [("val", 20), ("train", 100), ("test", 40)])
def test_text_output_for_each_split(
    script: Script, tiny_run: Path, tiny_idx: Path, split: str, count: int
) -> None:
    done = script(
        "evaluate.py",
        f"ckpt={tiny_run}",
        "data=idx",
        f"data.root={tiny_idx}",  # split as in training: data.val_split=20
        f"split={split}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"on idx, {split}: accuracy 0." in done.stdout
    assert f"of {count} images" in done.stdout
    assert "confusion matrix" in done.stdout


def test_data_set_without_a_default_folder_needs_one(script: Script, tiny_run: Path) -> None:
    done = script("evaluate.py", f"ckpt={tiny_run}")
    assert done.returncode == 2
    assert done.stderr == (
        "error: data.root: the checkpoint was trained on idx, but its folder is not known; "
        "add data=idx data.root=...\n"
    )
    done = script("evaluate.py", f"ckpt={tiny_run}", "data.root=elsewhere")
    assert done.returncode == 2
    assert done.stderr == "error: data: no such key; add data=<choice> to the command line; see --help\n"


def test_summary_by_hand() -> None:
    result = summarize_confusion(torch.tensor([[8, 2, 0], [1, 4, 0], [0, 0, 0]]), ["cat", "dog", "eel"])
    assert result["accuracy"] == 12 / 15
    assert result["class_accuracy"] == {"cat": 0.8, "dog": 0.8, "eel": None}
    text = format_report({"checkpoint": "x", "data": "pets", "split": "test", **result})
    assert "no images" in text
    assert text.splitlines()[-3].split() == ["cat", "8", "2", "0"]


def test_report_escapes_class_names() -> None:
    result = summarize_confusion(torch.tensor([[3, 1], [0, 0]]), ["\x1b[2Ja\nb", "\udcff"])
    text = format_report({"checkpoint": "x", "data": "pets", "split": "test", **result})
    lines = text.splitlines()
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2Ja\\nb  0.7500" in lines[3]
    assert "\\udcff  no images" in lines[4]


def test_report_of_many_classes_lists_the_most_frequent_mistakes() -> None:
    confusion = torch.zeros(100, 100, dtype=torch.int64)
    confusion[7, 7], confusion[7, 9], confusion[3, 4], confusion[4, 4] = 5, 4, 1200, 1
    result = summarize_confusion(confusion, [f"class {label}" for label in range(100)])
    text = format_report({"checkpoint": "x", "data": "pets", "split": "test", **result})
    assert text.endswith(
        "accuracy per class\n   class 3  0.0000\n   class 4  1.0000\n   class 7  0.5556\n\n"
        "most frequent mistakes: true class, predicted class, images\n"
        "  class 3, class 4, 1,200\n  class 7, class 9, 4"
    )

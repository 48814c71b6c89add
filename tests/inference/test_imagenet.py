"""`ckpt=imagenet` in the scripts."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Script
from PIL import Image


@pytest.mark.usefixtures("imagenet_weights")
def test_predict_lists_five_classes_by_default(
    script: Script, photographs: list[Path], tmp_path: Path
) -> None:
    cat, coffee, _ = photographs
    done = script(
        "predict.py", "ckpt=imagenet", f"image=[{cat},{coffee}]", "save_images=cards", "explain=true"
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{cat}: Egyptian cat (7")
    assert second.startswith(f"{coffee}: espresso (99.")
    assert first.count("%") == second.count("%") == 5
    for name in ("chelsea.png", "coffee.png"):
        with Image.open(tmp_path / "cards" / name) as card:
            assert card.width > 256
    done = script("predict.py", "ckpt=[imagenet,imagenet]", f"image={coffee}", "format=json", "top_k=2")
    (answer,) = json.loads(done.stdout)
    assert [one["class"] for one in answer["top"]] == ["espresso", "consomme"]
    assert len(answer["probabilities"]) == 1000


@pytest.mark.soak
@pytest.mark.usefixtures("imagenet_weights")
def test_export_compares_on_generated_images_and_answers_alike(
    script: Script, photographs: list[Path], tmp_path: Path
) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    done = script("export.py", "ckpt=imagenet", "report=json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("data: ImageNet's images are not downloaded; add data=image_folder")
    assert "compared with the checkpoint on generated images" in done.stderr
    assert json.loads(done.stdout)["output"] == "imagenet.onnx"
    answers = []
    for ckpt in ("imagenet", "imagenet.onnx"):
        done = script("predict.py", f"ckpt={ckpt}", f"image={photographs[0]}", "format=json")
        (answer,) = json.loads(done.stdout)
        answers.append(np.array(list(answer["probabilities"].values())))
        assert answer["class"] == "Egyptian cat"
    assert np.abs(answers[0] - answers[1]).max() < 1e-5


@pytest.mark.usefixtures("imagenet_weights")
def test_evaluate_and_int8_need_images(script: Script) -> None:
    done = script("evaluate.py", "ckpt=imagenet")
    assert done.returncode == 2
    assert done.stderr == (
        "error: data: ImageNet's images are not downloaded; add data=image_folder "
        "data.root=<a folder per class>\n"
    )

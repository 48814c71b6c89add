import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NUM_TINY_TEST, ROOT, Script, digit_pictures
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.classifier import ImageClassifier
from mobilenet_lab.errors import InputError
from mobilenet_lab.predict import list_images, predict_files


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny test pictures as PNG files, named by position and label."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, (pixels, label) in enumerate(zip(*digit_pictures(NUM_TINY_TEST, seed=2), strict=True)):
        Image.fromarray(pixels).save(folder / f"{i:02d}_{label}.png")
    return folder


def test_predictor_agrees_with_the_test_of_the_run(tiny_run: Path, pictures: Path) -> None:
    predictor = Predictor(tiny_run, preprocess="none")
    files = sorted(pictures.iterdir())
    predictions = predictor([Image.open(file) for file in files])
    right = sum(p.class_name == file.stem[-1] for p, file in zip(predictions, files, strict=True))
    result = json.loads((tiny_run / "result.json").read_text())
    assert right / len(files) == pytest.approx(result["test/accuracy"], abs=1e-4)
    for prediction in predictions:
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert prediction.confidence == max(prediction.probabilities.values())


def test_folding_changes_rounding_alone(tiny_run: Path, pictures: Path) -> None:
    images = [Image.open(file) for file in sorted(pictures.iterdir())]
    folded, plain = (Predictor(tiny_run, fold_norm=fold)(images) for fold in (True, False))
    for one, other in zip(folded, plain, strict=True):
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7, 40, 100])
def test_files_are_named_in_their_order_whatever_the_batch(
    tiny_run: Path, pictures: Path, tmp_path: Path, batch_size: int
) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"nothing")
    files = [str(path) for path in sorted(pictures.iterdir())]
    names = [*files[:10], str(damaged), *files[10:]]
    predictor = Predictor(tiny_run, preprocess="none")
    failures: list[str] = []
    predictions = list(predict_files(predictor, names, batch_size, failures))
    assert [name for name, _ in predictions] == files
    assert failures == [f"{damaged}: not a picture"]
    for name, prediction in predictions:
        alone = predictor([Image.open(name)])[0]
        assert prediction.confidence == pytest.approx(alone.confidence, abs=1e-5)
    assert list(predict_files(predictor, [], batch_size, failures)) == []


def test_one_picture_gives_the_same_alone_and_in_a_batch(tiny_run: Path, pictures: Path) -> None:
    predictor = Predictor(tiny_run)
    images = [Image.open(file) for file in sorted(pictures.iterdir())[:5]]
    together = predictor(images)
    for image, expected in zip(images, together, strict=True):
        assert predictor([image])[0].confidence == pytest.approx(expected.confidence, abs=1e-5)


def test_formats(script: Script, tiny_run: Path, pictures: Path) -> None:
    asked = [pictures / "03_3.png", pictures / "00_0.png"]
    image = f"image=[{asked[0]},{asked[1]}]"
    outputs = {
        name: script("predict.py", f"ckpt={tiny_run}", image, f"format={name}")
        for name in ("text", "json", "csv")
    }
    for name, done in outputs.items():
        assert (done.returncode, done.stderr) == (0, ""), name
    entries = json.loads(outputs["json"].stdout)
    assert [entry["image"] for entry in entries] == [str(path) for path in asked]
    for entry in entries:
        assert set(entry) == {"image", "class", "confidence", "probabilities"}
        assert list(entry["probabilities"]) == [str(d) for d in range(10)]
        assert entry["confidence"] == entry["probabilities"][entry["class"]]
    rows = list(csv.DictReader(io.StringIO(outputs["csv"].stdout)))
    assert [(row["image"], row["class"]) for row in rows] == [(e["image"], e["class"]) for e in entries]
    assert float(rows[0]["7"]) == entries[0]["probabilities"]["7"]
    lines = outputs["text"].stdout.splitlines()
    assert lines[0].startswith(f"{asked[0]}: {entries[0]['class']} (")


def test_folder_glob_standard_input_and_odd_names(script: Script, tiny_run: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a=b, (1)"
    odd.mkdir()
    pixels = digit_pictures(1, seed=5)[0][0]
    for name in ("x [1].png", "it's = {y}.png", "ü.jpg"):
        Image.fromarray(pixels).save(odd / name)
    (odd / "notes.txt").write_text("no picture")
    ckpt = f"ckpt={tiny_run / 'checkpoints/best.ckpt'}"
    assert len(script("predict.py", ckpt, f"image={odd}").stdout.splitlines()) == 3
    assert len(script("predict.py", ckpt, "image=a=b, (1)/*.png").stdout.splitlines()) == 2
    one = script("predict.py", ckpt, "image=a=b, (1)/it's = {y}.png")
    assert one.stdout.startswith("a=b, (1)/it's = {y}.png: "), one.stderr
    piped = script("predict.py", ckpt, "image=-", input=(odd / "x [1].png").read_bytes())
    assert piped.stdout.startswith(b"-: "), piped.stderr


def test_unreadable_pictures_are_told_and_the_others_answered(
    script: Script, tiny_run: Path, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    image = f"image=[bad.png,{pictures / '00_0.png'},missing.png]"
    done = script("predict.py", f"ckpt={tiny_run}", image)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.splitlines() == [
        "error: image=missing.png: no such file",
        "error: bad.png: not a picture",
    ]


@pytest.mark.parametrize("argument", [[], ["image=x.png", "ckpt=nowhere"]])
def test_missing_arguments_are_one_line(script: Script, argument: list[str]) -> None:
    done = script("predict.py", *argument)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_prediction_imports_no_training_code() -> None:
    code = (
        "import sys; sys.path.insert(0, 'src'); import mobilenet_lab.predict;"
        "print([m for m in ('lightning', 'torchmetrics', 'matplotlib', 'tensorboard') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(Path("payload-ran")), "w")


@pytest.mark.parametrize("damage", ["payload", "empty", "cut", "other", "shapes", "network"])
def test_untrusted_checkpoints_are_refused(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    good = tiny_run / "checkpoints/best.ckpt"
    checkpoint = torch.load(good, weights_only=True)
    path = tmp_path / "x.ckpt"
    if damage == "payload":
        torch.save(checkpoint | {"extra": Payload()}, path)
    elif damage == "empty":
        path.touch()
    elif damage == "cut":
        path.write_bytes(good.read_bytes()[:5000])
    elif damage == "other":
        torch.save({"weights": torch.zeros(3)}, path)
    elif damage == "shapes":
        checkpoint["hyper_parameters"]["filters"] = 2
        torch.save(checkpoint, path)
    else:
        checkpoint["hyper_parameters"]["network"] = "os.system"
        torch.save(checkpoint, path)
    with pytest.raises(InputError) as error:
        Predictor(path)
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)
    assert not Path("payload-ran").exists()


def test_list_images_keeps_the_order_asked_for(pictures: Path) -> None:
    names, failures = list_images([str(pictures / "05_5.png"), str(pictures / "0[0-2]_*.png"), "none.png"])
    assert [Path(name).stem for name in names] == ["05_5", "00_0", "01_1", "02_2"]
    assert failures == ["image=none.png: no such file"]


def test_grey_and_colour_pictures_together(tmp_path: Path) -> None:
    module = ImageClassifier(
        "mobilenet_v2",
        classes=["a", "b"],
        preprocessing={"image_size": 32, "channels": 3, "mean": 0.5, "std": 0.5, "resize": "auto"},
        data={"name": "image_folder", "picture_size": 32, "digits": False, "fit": "crop"},
        filters=1,
    )
    contents = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(contents | {"epoch": 0, "global_step": 0}, tmp_path / "x.ckpt")
    pictures = [Image.new("L", (9, 9), 100), Image.new("RGB", (9, 9), (100, 100, 100))]
    grey, colour = Predictor(tmp_path / "x.ckpt")(pictures)
    assert grey.probabilities == pytest.approx(colour.probabilities, abs=1e-6)


def test_colour_pictures_of_any_size(tiny_run: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 200, 3), np.uint8)
    for preprocess in ("auto", "none"):
        assert len(Predictor(tiny_run, preprocess)([Image.fromarray(pixels)])) == 1

"""What a prediction says about its own reliability, and which inputs a predictor takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.inference.predictor import Prepared
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier

SIDE = 16


def checkpoint(folder: Path, num_classes: int, channels: int = 1, mnist_style: bool = False) -> Path:
    """Write a checkpoint of an untrained network, whose probabilities are nearly equal."""
    module = ImageClassifier(
        {"network": "mobilenet_v2", "filters": 1},
        classes=[f"class {i}" for i in range(num_classes)],
        preprocessing={"image_size": 32, "channels": channels, "mean": 0.5, "std": 0.5, "resize": "auto"},
        data={"name": "image_folder", "native_size": SIDE, "mnist_style": mnist_style, "fit": "crop"},
    )
    contents = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(contents | {"epoch": 0, "global_step": 0}, folder / "x.ckpt")
    return folder / "x.ckpt"


def logits(monkeypatch: pytest.MonkeyPatch, predictor: Predictor, probabilities: list[float]) -> None:
    """Let the network answer every image with these probabilities."""
    monkeypatch.setattr(
        predictor, "probabilities", lambda images: np.tile(np.float32(probabilities), (len(images), 1))
    )


@pytest.mark.parametrize(
    ("probabilities", "note"),
    [
        ([0.74, 0.26], "low confidence"),
        ([0.76, 0.24], None),
        ([0.54, 0.46, *[0.0] * 8], "low confidence"),
        ([0.56, 0.44, *[0.0] * 8], None),
        ([0.5, *[0.0005] * 1000], "low confidence"),
        ([0.51, *[0.00049] * 1000], None),
    ],
)
def test_low_confidence_is_less_than_halfway_from_chance_to_certainty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probabilities: list[float], note: str | None
) -> None:
    predictor = Predictor(checkpoint(tmp_path, len(probabilities)))
    logits(monkeypatch, predictor, probabilities)
    (prediction,) = predictor(Image.new("L", (9, 9)))
    assert (prediction.class_name, prediction.note) == ("class 0", note)


def test_min_confidence_is_the_limit_of_low_confidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, 2)
    for limit, note in ((0.89, None), (0.91, "low confidence"), (0.0, None)):
        predictor = Predictor(path, min_confidence=limit)
        logits(monkeypatch, predictor, [0.1, 0.9])
        assert predictor(Image.new("L", (9, 9)))[0].note == note


def test_problems_of_the_preprocessing_become_notes(tmp_path: Path) -> None:
    """Only images with something to classify reach the network, in order."""
    predictor = Predictor(checkpoint(tmp_path, 10), min_confidence=0.0)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 1, SIDE, SIDE), np.uint8)
    problems = ["no digit", None, "several digits", "no digit"]
    prepared = [Prepared(one, problem) for one, problem in zip(pixels[[0, 1, 2, 0]], problems, strict=True)]
    blank, one, several, last = predictor.classify(prepared)
    assert [(p.class_name, p.confidence, p.probabilities, p.note) for p in (blank, last)] == [
        (None, 0.0, {}, "no digit found")
    ] * 2
    assert one.note is None
    assert several.note == "several digits found"
    alone = predictor.classify([Prepared(pixels[2])])[0]
    assert several.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert predictor.classify([Prepared(pixels[0], "no digit")]) == [blank]
    predictor.min_confidence = 1.0
    assert predictor.classify(prepared)[2].note == "several digits found, low confidence"


@pytest.mark.parametrize("channels", [1, 3])
def test_blank_images_have_no_digit(tmp_path: Path, channels: int) -> None:
    predictor = Predictor(checkpoint(tmp_path, 10, channels, mnist_style=True))
    blank = [Image.new("L", (50, 40), gray) for gray in (0, 128, 255)]
    assert [prediction.note for prediction in predictor(blank)] == ["no digit found"] * 3
    plain = Predictor(checkpoint(tmp_path, 10, channels, mnist_style=True), preprocess="none")
    assert None not in [prediction.class_name for prediction in plain(blank)]


def test_paths_images_and_arrays_give_equal_predictions(tmp_path: Path) -> None:
    predictor = Predictor(checkpoint(tmp_path, 10, channels=3))
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    pixels[0, 0] = 255  # the white of every type
    image = Image.fromarray(pixels)
    image.save(tmp_path / "x.png")
    same = [
        tmp_path / "x.png",
        str(tmp_path / "x.png"),
        image,
        pixels,
        pixels[:, ::-1][:, ::-1],
        pixels.astype(np.int64),
        pixels.astype(np.float32) / 255,
        np.dstack([pixels, np.full((20, 30), 255, np.uint8)]),
    ]
    expected, *others = predictor(same)
    for other in others:
        assert other.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    for one in (tmp_path / "x.png", image, pixels[None]):
        (alone,) = predictor(one)
        assert alone.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_gray_and_binary_arrays_are_images(tmp_path: Path) -> None:
    predictor = Predictor(checkpoint(tmp_path, 10))
    stroke = np.zeros((20, 20), bool)
    stroke[5:15, 9:11] = True
    bits, gray, deep, stacked = predictor([stroke, stroke * 255, stroke * 65_535, stroke[..., None] * 255])
    for other in (gray, deep, stacked, *predictor(np.stack([stroke, stroke]))):
        assert other.probabilities == pytest.approx(bits.probabilities, abs=1e-6)


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 1), (9, 9, 3), (9, 9, 4)])
def test_one_array_is_one_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    predictor = Predictor(checkpoint(tmp_path, 10), preprocess="none")
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    (alone,) = predictor(array)
    assert [alone] == predictor([array])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([np.zeros((3, 9, 9))], r"images\[0\]: is an array of shape \(3, 9, 9\) and type float64; give a"),
        (np.zeros(9), r"images\[0\]: is an array of shape \(9,\)"),
        (None, "images: is a NoneType; give a path"),
        ([np.zeros((0, 9))], r"images\[0\]: is an array of shape \(0, 9\)"),
        ([np.full((9, 9), "a")], r"images\[0\]: is an array .* type <U1"),
        (["nowhere.png"], r"nowhere\.png: No such file"),
        ([Image.new("L", (9, 9)), 5], r"images\[1\]: is a int; give a path, a PIL image, or a NumPy array"),
    ],
)
def test_other_inputs_are_refused_in_one_line(tmp_path: Path, images: object, message: str) -> None:
    predictor = Predictor(checkpoint(tmp_path, 10))
    with pytest.raises(InputError, match=message) as refused:
        predictor(images)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)

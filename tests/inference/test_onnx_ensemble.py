"""Networks in ONNX files are checked against their metadata, and answer as checkpoints do."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import composed
from linear_onnx import METADATA, SIDE, Raw, constant, linear_model, weights, write
from onnx import helper
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.checkpoints.locate import find_checkpoint
from mobilenet_lab.cli.path_arguments import suggest_path_key
from mobilenet_lab.inference.classifier import open_classifier
from mobilenet_lab.inference.onnx_ensemble import OnnxEnsemble
from mobilenet_lab.runtime.errors import InputError

IMAGES = np.random.default_rng(1).integers(0, 256, (6, 1, SIDE, SIDE), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "x.onnx", linear_model())


def altered(**values: Any) -> dict[str, Any]:
    """Return the metadata with other values, by key or by `group__key`."""
    metadata: dict[str, Any] = json.loads(json.dumps(METADATA))
    for key, value in values.items():
        group, _, name = key.partition("__")
        if name:
            metadata[group][name] = value
        else:
            metadata[key] = value
    return metadata


def test_predictor_reads_classes_and_size_from_the_file(path: Path) -> None:
    predictor = Predictor(path)
    assert predictor.classes == METADATA["classes"]
    assert predictor.max_batch == (1 << 24) // SIDE**2
    expected = OnnxEnsemble([path]).probabilities(IMAGES)
    predictions = predictor(list(IMAGES[:, 0]))
    assert [p.class_name for p in predictions] == [METADATA["classes"][i] for i in expected.argmax(axis=1)]
    for prediction, row in zip(predictions, expected, strict=True):
        assert list(prediction.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-6)


def test_several_files_answer_with_their_mean(path: Path, tmp_path: Path) -> None:
    negative = [helper.make_node("Mul", ["logits", "minus_two"], ["extra"])]
    other = linear_model(constants=[constant("minus_two", -2, np.float32)])
    nodes = list(other.graph.node)
    del other.graph.node[:]
    other.graph.node.extend(
        [*nodes[:-1], *negative, helper.make_node("Softmax", ["extra"], nodes[-1].output)]
    )
    write(tmp_path / "y.onnx", other)
    logits = IMAGES.reshape(len(IMAGES), -1).astype(np.float64) @ weights()
    softmax = [np.exp(scale * logits) for scale in (1, -2)]
    expected = sum(one / one.sum(axis=1, keepdims=True) for one in softmax) / 2
    both = OnnxEnsemble([path, tmp_path / "y.onnx"])
    assert (len(both.data), both.paths) == (2, [path, tmp_path / "y.onnx"])
    np.testing.assert_allclose(both.probabilities(IMAGES), expected, rtol=1e-5)


def test_grayscale_is_repeated_for_three_channels(tmp_path: Path) -> None:
    metadata = altered(preprocessing__channels=3)
    color = OnnxEnsemble([write(tmp_path / "x.onnx", linear_model(3, metadata=metadata))])
    assert color.channels == 3
    np.testing.assert_array_equal(color.probabilities(IMAGES), color.probabilities(IMAGES.repeat(3, axis=1)))


@pytest.mark.parametrize("shape", [(2, 1, SIDE, SIDE + 1), (2, 3, SIDE, SIDE)])
def test_images_of_another_shape_are_refused(path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^ckpt=x\.onnx: takes images of shape \(1, 4, 4\), not"):
        OnnxEnsemble([path]).probabilities(np.zeros(shape, np.uint8))


def test_image_without_a_finite_answer_is_an_error_of_that_image(tmp_path: Path) -> None:
    """Dividing by the brightest pixel is undefined for a black image."""
    nodes = [
        helper.make_node("ReduceMax", ["pixels", "axis"], ["brightest"], keepdims=1),
        helper.make_node("Div", ["brightest", "brightest"], ["extra"]),
    ]
    model = linear_model(before=nodes, constants=[constant("axis", [1])], add="extra")
    predictor = Predictor(write(tmp_path / "x.onnx", model))
    images = IMAGES.copy()
    images[1] = 0
    rows = predictor.probabilities(images)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False, False, False, False]
    with pytest.raises(InputError, match=r"images\[1\]: the network computes NaN or infinity"):
        predictor(list(images[:, 0]))


@pytest.mark.parametrize("last", ["Identity", "Sigmoid", "LogSoftmax"])
def test_answers_that_are_no_probabilities_are_refused(tmp_path: Path, last: str) -> None:
    ensemble = OnnxEnsemble([write(tmp_path / "x.onnx", linear_model(last=last))])
    with pytest.raises(InputError, match=r"x\.onnx: answers with something else than probabilities; export"):
        ensemble.probabilities(IMAGES)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "lacks the metadata classes, preprocessing, data, precision; export it with export.py"),
        (altered(classes=Raw("cat, dog, eel")), "its metadata is not JSON"),
        (altered(classes=Raw("[" * 100_000)), "its metadata is not JSON"),
        (altered(classes=Raw("9" * 5000)), "its metadata is not JSON"),
        (altered(classes={"cat": 0, "dog": 1, "eel": 2}), "has invalid metadata: classes;"),
        (altered(classes=["cat", "dog"]), r"has shape \(1, 4, 4\) for images and 3 probabilities, which do"),
        (altered(classes=["cat", "cat", "eel"]), "class name 'cat' is the name of two classes; use another"),
        (altered(classes=["cat", "dog", "\x1b[2J"]), r"class name '\\x1b\[2J' has control characters"),
        (altered(classes=["cat", "dog", 3]), "class name int is not text"),
        (altered(preprocessing=[]), "has invalid metadata: preprocessing;"),
        (altered(preprocessing__image_size=1 << 20), r"has invalid metadata: preprocessing\.image_size;"),
        (altered(data=None), "has invalid metadata: data;"),
        (altered(data__native_size=5), "which do not fit its metadata; export it again"),
        (altered(data__native_size=True), r"has invalid metadata: data\.native_size;"),
        (altered(data__fit="squeeze"), r"has invalid metadata: data\.fit;"),
        (altered(data__mnist_style=1), r"has invalid metadata: data\.mnist_style;"),
        (altered(data__name="\x1b[2J"), "has invalid metadata: a text that cannot be printed;"),
        (altered(data__val_split=float("nan")), r"has invalid metadata: data\.val_split;"),
        (altered(precision=["int8"]), "has invalid metadata: precision;"),
        (altered(data__name="x" * (1 << 23)), "has more than 8,388,608 characters of metadata"),
    ],
)
def test_wrong_metadata_is_refused_in_one_line(
    tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "x.onnx", linear_model(metadata=metadata))
    with pytest.raises(InputError, match=rf"x\.onnx: .*{message}") as refused:
        Predictor(path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "metadata",
    [
        altered(classes=["cat", "dog", "fox"]),
        altered(data__fit="crop"),
        altered(data__mnist_style=True),
    ],
)
def test_files_of_other_data_do_not_go_together(path: Path, tmp_path: Path, metadata: dict[str, Any]) -> None:
    other = write(tmp_path / "y.onnx", linear_model(metadata=metadata))
    with pytest.raises(
        InputError, match=r"y\.onnx: has other classes or another image format than .*x\.onnx"
    ):
        OnnxEnsemble([path, other])


def test_files_of_two_kinds_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^ckpt: has ONNX files and checkpoints, for example .*x\.onnx; use"
    ):
        open_classifier([tmp_path / "x.ckpt", path])


def test_accelerator(path: Path) -> None:
    with pytest.raises(InputError, match=r"^accelerator=gpu: ONNX files run on the CPU; use accelerator"):
        Predictor(path, accelerator="gpu")
    assert Predictor(path, accelerator="auto")(Image.new("L", (9, 9)))


def test_checkpoint_without_pytorch_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.ckpt").touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"^ckpt=.*x\.ckpt: needs PyTorch, which is not installed; install"):
        Predictor(tmp_path / "x.ckpt")


def test_exported_model_cannot_be_resumed(path: Path) -> None:
    message = r"^resume=.*x\.onnx: an exported model cannot be trained; use a checkpoint$"
    with pytest.raises(InputError, match=message):
        composed(f"resume={path}")
    assert find_checkpoint(str(path)) == path


def test_path_without_a_key_is_understood() -> None:
    assert suggest_path_key("x.onnx", ["x.onnx"], "predict") == "ckpt=x.onnx"
    assert suggest_path_key("x.onnx", ["x.onnx"], "evaluate") == "ckpt=x.onnx"

"""A wrong export is refused."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import digit_images

from mobilenet_lab.export.comparison import Comparison, compare
from mobilenet_lab.export.images import LabeledBatch, generated_batches, with_channels
from mobilenet_lab.export.runtimes import open_onnx
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.runtime.errors import InputError


def batches() -> Iterator[LabeledBatch]:
    images, labels = (torch.from_numpy(values) for values in digit_images(40, seed=2))
    for start in (0, 25):
        yield images[start : start + 25, None], labels[start : start + 25].long()


def compared(run: Path, path: Path) -> Comparison:
    checkpoint = Ensemble([run / "checkpoints/best.ckpt"], torch.device("cpu"))
    return compare(checkpoint, open_onnx(path, 1), 1, batches())


def test_one_wrong_weight_is_found(onnx_file: Path, tiny_run: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    compared(tiny_run, onnx_file).check("onnx", 1e-5, 0)
    for wrong, amount in ((0.01, r"[\d.e-]+"), (np.nan, "nan")):
        model = onnx.load(onnx_file)
        (bias,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.1.bias"))
        values = onnx.numpy_helper.to_array(bias).copy()
        values[4] += wrong
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        onnx.save(model, tmp_path / "wrong.onnx")
        with pytest.raises(InputError, match=f"^format=onnx: a probability differs .* by {amount}, more"):
            compared(tiny_run, tmp_path / "wrong.onnx").check("onnx", 1e-5, 0)


def test_comparison_by_hand(tiny_run: Path) -> None:
    checkpoint = Ensemble([tiny_run / "checkpoints/best.ckpt"], torch.device("cpu"))
    always_four = np.eye(10, dtype=np.float32)[[4]]
    found = compare(checkpoint, lambda images: always_four.repeat(len(images), axis=0), 1, batches())
    images, labels = digit_images(40, seed=2)
    expected = checkpoint(torch.from_numpy(images)[:, None]).softmax(dim=1).numpy()
    assert found.images == 40
    assert found.accuracy == 4 / 40
    assert found.reference_accuracy == np.mean(expected.argmax(axis=1) == labels)
    assert found.largest_difference == np.abs(expected - always_four).max()
    assert found.same_answers == np.mean(expected.argmax(axis=1) == 4)


def test_loss_of_accuracy_is_limited() -> None:
    found = Comparison(1000, 0.990, 0.984, 0.3, 0.99)
    found.check("onnx_int8", math.inf, 0.0061)
    with pytest.raises(
        InputError, match=r"falls from 0\.9900 to 0\.9840, more than max_accuracy_loss=0\.005"
    ):
        found.check("onnx_int8", math.inf, 0.005)


def test_generated_images_are_varied_and_the_same_every_time() -> None:
    first, second = ([images for images, _ in generated_batches((3, 28, 28))] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    images = torch.cat(first)
    assert (images.dtype, images.shape) == (torch.uint8, (320, 3, 28, 28))
    spread = images.float().std(dim=(1, 2, 3))
    assert spread[:64].min() > 60  # noise
    assert images[-64:].float().std(dim=(2, 3)).max() == 0  # one color each
    assert images.float().mean(dim=(1, 2, 3)).std() > 20


def test_channels_of_the_data_set_are_converted_or_refused() -> None:
    gray = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    assert torch.equal(with_channels(gray, 3)[:, 2], gray[:, 0])
    with pytest.raises(InputError, match="channels=1: the data set has color images; use channels=3"):
        with_channels(gray.repeat(1, 3, 1, 1), 1)

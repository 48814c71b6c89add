import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, distributed
from torch.utils.tensorboard.summary import compute_curve

from mobilenet_lab.runs.quality import Quality
from mobilenet_lab.tasks.quality_metrics import CALIBRATION_BINS, QualityMetrics

PREPROCESSING = {"image_size": 6, "channels": 1, "mean": 0.25, "std": 0.5}


def data(images: int = 203, classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 1, 6, 6), generator=generator)
    logits = 3 * torch.randn(images, classes, generator=generator)
    return logits, torch.randint(0, classes, (images,), generator=generator), pixels


def measured(
    logits: Tensor, labels: Tensor, pixels: Tensor, preprocessing: dict[str, Any] = PREPROCESSING
) -> QualityMetrics:
    metrics = QualityMetrics([str(i) for i in range(logits.shape[1])], preprocessing)
    images = (pixels / 255 - 0.25) / 0.5
    for some in torch.arange(len(labels)).split(40):
        loss = F.cross_entropy(logits[some], labels[some])
        metrics.update(loss, logits[some], labels[some], images[some])
    return metrics


def test_calibration_error_is_that_of_its_definition() -> None:
    logits, labels, pixels = data()
    calibration = measured(logits, labels, pixels).quality().calibration
    confidence, predictions = logits.double().softmax(dim=1).max(dim=1)
    error = 0.0
    for i in range(CALIBRATION_BINS):
        low, high = i / CALIBRATION_BINS, (i + 1) / CALIBRATION_BINS
        inside = (confidence >= low) & (confidence < high)
        assert calibration.counts[i] == inside.sum()
        if inside.any():
            accuracy = (predictions == labels)[inside].double().mean()
            error += float(inside.double().mean() * (accuracy - confidence[inside].mean()).abs())
    assert calibration.error == pytest.approx(error, abs=1e-6)
    assert calibration.counts.sum() == len(labels)


def test_precision_recall_counts_are_those_of_tensorboard_and_of_the_definition() -> None:
    logits, labels, pixels = data()
    quality = measured(logits, labels, pixels).quality()
    assert quality.scores is not None
    scores = logits.softmax(dim=1)
    for label in range(4):
        curve = quality.scores.curve(label)
        is_label = (labels == label).numpy()
        expected = compute_curve(is_label, scores[:, label].numpy(), num_thresholds=127)
        np.testing.assert_allclose(curve, expected, rtol=1e-6)
        for i in (0, 63, 120):
            above = (scores[:, label] >= i / 126).numpy()
            assert curve[0, i] == (above & is_label).sum()
            assert curve[1, i] == (above & ~is_label).sum()


def test_worst_mistakes_are_the_most_confident_ones_as_the_network_saw_them() -> None:
    logits, labels, pixels = data()
    mistakes = measured(logits, labels, pixels).quality().mistakes
    confidence, predictions = logits.softmax(dim=1).max(dim=1)
    wrong = [i for i in confidence.argsort(descending=True).tolist() if predictions[i] != labels[i]]
    assert len(mistakes) == 25
    for mistake, i in zip(mistakes, wrong, strict=False):
        assert (mistake.label, mistake.prediction) == (labels[i], predictions[i])
        assert mistake.confidence == pytest.approx(float(confidence[i]))
        assert (mistake.image == pixels[i, 0].numpy()).all()


def test_color_images_keep_their_channels() -> None:
    logits, labels, pixels = data(images=8)
    preprocessing = PREPROCESSING | {"channels": 3, "mean": [0.25] * 3, "std": [0.5] * 3}
    color = pixels + torch.zeros(8, 3, 6, 6, dtype=torch.int64)
    mistakes = measured(logits, labels, color, preprocessing).quality().mistakes
    assert mistakes[0].image.shape == (6, 6, 3)


def test_logits_that_are_not_numbers_are_counted() -> None:
    logits, labels, pixels = data()
    logits[0], logits[1, 0] = torch.nan, torch.inf
    quality = measured(logits, labels, pixels).quality()
    assert quality.confusion.sum() == quality.calibration.counts.sum() == len(labels)


def test_memory_does_not_grow_with_images_and_classes() -> None:
    logits, labels, pixels = data(images=500, classes=100)
    metrics = measured(logits, labels, pixels)
    assert metrics.scores.shape == (2, 20, 127)
    assert len(metrics.quality().mistakes) == 25
    metrics.reset()
    assert metrics.quality().mistakes == []
    assert metrics.quality().calibration.error == 0


def measure_share(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    logits, labels, pixels = data()
    torch.save(measured(logits[rank::2], labels[rank::2], pixels[rank::2]).quality(), f"{folder}/{rank}")
    distributed.destroy_process_group()


@pytest.mark.run
def test_two_ranks_measure_what_one_does(tmp_path: Path) -> None:
    # New processes: a fork of this one would share its threads' locks, and pipes to other processes.
    call = "import sys, test_quality_metrics as t; t.measure_share(int(sys.argv[1]), sys.argv[2])"
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", call, str(rank), str(tmp_path)], env=os.environ | {"PYTHONPATH": folders}
        )
        for rank in range(2)
    ]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    whole = measured(*data()).quality()
    for rank in range(2):
        assert_equal(torch.load(tmp_path / str(rank), weights_only=False), whole)


def assert_equal(one: Quality, other: Quality) -> None:
    assert one.scores is not None
    assert other.scores is not None
    pairs = [
        (one.confusion, other.confusion),
        (one.scores.positives, other.scores.positives),
        (one.scores.negatives, other.scores.negatives),
        (one.calibration.counts, other.calibration.counts),
        (one.calibration.confidence_sums, other.calibration.confidence_sums),
        (one.calibration.correct, other.calibration.correct),
    ]
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert len(one.mistakes) == len(other.mistakes) == 25
    for a, b in zip(one.mistakes, other.mistakes, strict=True):
        assert (a.label, a.prediction, a.confidence) == (b.label, b.prediction, b.confidence)
        assert (a.image == b.image).all()

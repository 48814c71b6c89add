"""Measure accuracy on a subset of a data set, and report it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.inference.ensemble import Classify
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable
from mobilenet_lab.tasks.confusion_matrix import update_confusion_matrix

MAX_COLUMNS = 30  # of a confusion matrix as text
MAX_MISTAKES = 20  # listed instead of it


@torch.inference_mode()
def measure(
    classify: Classify,
    subset: Subset,
    batch_size: int,
    num_classes: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Tensor:
    """Return the confusion matrix: one row per label, one column per predicted class.

    Args:
        classify: Maps images as read to logits, on any device.
        subset: The images; at least one.
        batch_size: Images per batch.
        num_classes: Number of classes.
        num_workers: Processes that read ahead.
        pin_memory: Whether to read batches into pinned memory, for a GPU.

    Returns:
        Counts, int64, shape (num_classes, num_classes), on the CPU.

    Raises:
        InputError: The network computes NaN or infinity.
    """
    confusion, is_finite = None, torch.tensor(True)
    sampler = BatchSampler(subset.index_range, batch_size, shuffle=False)
    for batch in batch_loader(subset.dataset, sampler, num_workers, pin_memory):
        logits = classify(batch["images"])
        if confusion is None:
            confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=logits.device)
            is_finite = is_finite.to(logits.device)
        is_finite &= logits.amax(dim=1).isfinite().all()  # -inf is the logarithm of a probability of 0
        update_confusion_matrix(confusion, logits, batch["labels"].to(logits.device, non_blocking=True))
    assert confusion is not None
    if not is_finite:
        raise InputError("ckpt: the network computes NaN or infinity for some images; use another checkpoint")
    return confusion.cpu()


def accuracy_of(confusion: Tensor) -> float:
    """Return the fraction of images on the diagonal."""
    return int(confusion.diagonal().sum()) / int(confusion.sum())


def summarize_confusion(confusion: Tensor, classes: list[str]) -> dict[str, Any]:
    """Return accuracy overall and per class, as fractions, and the confusion matrix as lists."""
    counts: list[int] = confusion.sum(dim=1).tolist()
    correct: list[int] = confusion.diagonal().tolist()
    return {
        "images": sum(counts),
        "accuracy": accuracy_of(confusion),
        "class_accuracy": {
            name: right / count if count else None
            for name, right, count in zip(classes, correct, counts, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def format_report(result: dict[str, Any]) -> str:
    """Format the result of an evaluation as text."""
    names = [printable(name) for name in result["class_accuracy"]]
    width = max(6, *(len(name) + 2 for name in names), len(f"{result['images']:,}"))
    label_width = max(map(len, names)) + 2
    checkpoint = result["checkpoint"]
    model = checkpoint if isinstance(checkpoint, str) else f"mean of {len(checkpoint)} checkpoints"
    lines = [
        f"{model} on {result['data']}, {result['split']}: "
        f"accuracy {result['accuracy']:.4f} of {result['images']:,} images"
    ]
    if tta := result.get("tta"):
        lines.append(
            f"mean over {tta['views']} shifts of up to {tta['pixels']} pixels: accuracy {tta['accuracy']:.4f}"
        )
    lines += ["", "accuracy per class"]
    shows_all = len(names) <= MAX_COLUMNS
    for name, accuracy in zip(names, result["class_accuracy"].values(), strict=True):
        if accuracy is not None or shows_all:
            lines.append(f"{name:>{label_width}}  {'no images' if accuracy is None else f'{accuracy:.4f}'}")
    if not shows_all:
        return "\n".join([*lines, "", *_mistakes(names, np.array(result["confusion"]))])
    lines += ["", "confusion matrix: one row per true class, one column per predicted class"]
    lines.append(" " * label_width + "".join(f"{name:>{width}}" for name in names))
    for name, row in zip(names, result["confusion"], strict=True):
        lines.append(f"{name:>{label_width}}" + "".join(f"{count:>{width}}" for count in row))
    return "\n".join(lines)


def _mistakes(names: Sequence[str], confusion: np.ndarray) -> list[str]:
    """Return the most frequent mistakes, which a confusion matrix of many classes would hide."""
    mistakes = confusion * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MAX_MISTAKES]
    lines = ["most frequent mistakes: true class, predicted class, images"]
    for label, answer in zip(*np.unravel_index(order, mistakes.shape), strict=True):
        if mistakes[label, answer]:
            lines.append(f"  {names[label]}, {names[answer]}, {mistakes[label, answer]:,}")
    return lines if len(lines) > 1 else ["no mistakes"]

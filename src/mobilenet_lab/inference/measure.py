"""Measure a checkpoint on a part of a data set; imports no Lightning, as it needs none."""

from typing import Any

import torch
from torch import Tensor

from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.inference.ensemble import Classify
from mobilenet_lab.tasks.confusion_matrix import update_confusion_matrix


@torch.inference_mode()
def measure(
    classify: Classify,
    part: Subset,
    batch_size: int,
    num_classes: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Tensor:
    """The confusion matrix over a part: rows are labels, columns predictions.

    Args:
        classify: From images as read to logits, on any device.
        part: The images.
        batch_size: How many at once.
        num_classes: Number of classes.
        num_workers: Processes that read ahead.
        pin_memory: Whether batches are read for a GPU.

    Returns:
        Counts, int64, shape (number of classes, number of classes), on the CPU.
    """
    confusion = None
    sampler = BatchSampler(part.split, batch_size, shuffle=False)
    for batch in batch_loader(part.dataset, sampler, num_workers, pin_memory):
        logits = classify(batch["images"])
        if confusion is None:
            confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=logits.device)
        update_confusion_matrix(confusion, logits, batch["labels"].to(logits.device, non_blocking=True))
    assert confusion is not None
    return confusion.cpu()


def accuracy_of(confusion: Tensor) -> float:
    """The share of the images that is on the diagonal."""
    return int(confusion.diagonal().sum()) / int(confusion.sum())


def summarise(confusion: Tensor, classes: list[str]) -> dict[str, Any]:
    """Accuracy as fractions, overall and of each class, and the confusion matrix as lists."""
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
    """The result as lines for people."""
    names = list(result["class_accuracy"])
    width = max(6, *(len(name) + 2 for name in names), len(f"{result['images']:,}"))
    label_width = max(map(len, names)) + 2
    where = result["checkpoint"]
    what = where if isinstance(where, str) else f"mean of {len(where)} checkpoints"
    lines = [
        f"{what} on {result['data']}, {result['split']}: "
        f"accuracy {result['accuracy']:.4f} of {result['images']:,} images"
    ]
    if shifted := result.get("tta"):
        lines.append(
            f"mean over {shifted['views']} shifts of up to {shifted['pixels']} pixels: "
            f"accuracy {shifted['accuracy']:.4f}"
        )
    lines += ["", "class accuracies"]
    for name, accuracy in result["class_accuracy"].items():
        lines.append(f"{name:>{label_width}}  {'no pictures' if accuracy is None else f'{accuracy:.4f}'}")
    lines += ["", "confusion matrix: a row for each true class, a column for each predicted one"]
    lines.append(" " * label_width + "".join(f"{name:>{width}}" for name in names))
    for name, row in zip(names, result["confusion"], strict=True):
        lines.append(f"{name:>{label_width}}" + "".join(f"{count:>{width}}" for count in row))
    return "\n".join(lines)

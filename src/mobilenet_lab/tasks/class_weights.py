"""Weights of the classes in the training loss."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from torch import Tensor

from mobilenet_lab.config.value_kinds import mapping_of
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
Weights = Mapping[str, float] | Sequence[float] | str
NUM_NAMED = 20  # classes that a message names


def class_weight_tensor(
    weights: Weights | None, class_counts: Sequence[int] | None, classes: Sequence[str]
) -> Tensor | None:
    """Return the weight per class, float32, shape (num_classes,), or None for equal weights.

    Logs the weights by class name, since the order of a list is easily mistaken.

    Args:
        weights: The weights by class name, where other classes have weight 1, or as a list in the order of
            `classes`, or "balanced" for those of `balanced_weights`; None for equal weights.
        class_counts: Number of training images per class, for "balanced".
        classes: Names of the classes, by label.

    Raises:
        InputError: The weights do not fit the classes, or a class has no images.
    """
    if weights is None:
        return None
    if weights == "balanced":
        if class_counts is None:
            raise InputError("class_weights=balanced: needs class_counts; pass training images per class")
        values = balanced_weights(class_counts, classes)
    elif (by_name := mapping_of(weights)) is not None:
        values = _by_name(by_name, classes)
    elif isinstance(weights, str):
        raise InputError(f"task.class_weights={weights}: must be balanced, a list or weights by class name")
    else:
        values = [float(weight) for weight in weights]
    if len(values) != len(classes):
        raise InputError(
            f"task.class_weights: has {len(values)} numbers for {len(classes)} classes; use one per class, "
            f"in the order {_listed(classes)}"
        )
    pairs = [f"{name} {weight:.4g}" for name, weight in zip(classes, values, strict=True)]
    rank_zero_only(log.info)("weights  %s", _listed(pairs))
    return torch.tensor(values, dtype=torch.float32)


def balanced_weights(class_counts: Sequence[int], classes: Sequence[str] | None = None) -> list[float]:
    """Return weights that give each class the same share of the loss; their mean over all images is 1.

    Args:
        class_counts: Number of training images per class.
        classes: Names of the classes, for the message; None for their labels.

    Raises:
        InputError: A class has no images.
    """
    if min(class_counts) == 0:
        empty = class_counts.index(0)
        raise InputError(
            f"task.class_weights=balanced: class {printable(classes[empty]) if classes else empty} has no "
            "training images; use weights by class name"
        )
    return [sum(class_counts) / (len(class_counts) * count) for count in class_counts]


def _by_name(weights: Mapping[Any, float], classes: Sequence[str]) -> list[float]:
    by_name = {str(name): weight for name, weight in weights.items()}  # YAML reads a name 10 as a number
    if unknown := by_name.keys() - set(classes):
        raise InputError(
            f"task.class_weights: there is no class {printable(min(unknown))}; the classes are "
            f"{_listed(classes)}"
        )
    return [float(by_name.get(name, 1)) for name in classes]


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NUM_NAMED} more" if len(texts) > NUM_NAMED else ""
    return ", ".join(printable(text) for text in texts[:NUM_NAMED]) + more

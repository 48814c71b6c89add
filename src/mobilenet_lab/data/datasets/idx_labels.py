"""Which classes the labels of an IDX data set without names mean, and which of them look like mistakes."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)
RARE = 0.1  # of the median number of images per class; fewer make a label unexpected
NUM_DIGITS = 10
FIX = "correct the labels, or name all classes in data.source.classes=[...]"


def classes_of_labels(labels: Mapping[Path, np.ndarray], is_digits: bool) -> list[str]:
    """Return the numbers from 0 to the highest label as class names, and warn of unexpected ones.

    Args:
        labels: uint8, shape (N,), by file; those of the training images come first.
        is_digits: Whether the images are digits, so that labels from 10 on are unexpected.

    Raises:
        InputError: There is one class only, a label below the highest has no images, or no training images.
    """
    by_file = {path: np.bincount(some, minlength=256) for path, some in labels.items()}
    train, train_counts = next(iter(by_file.items()))
    counts = np.sum(list(by_file.values()), axis=0)
    used = np.flatnonzero(counts)
    if len(used) < 2:
        raise InputError(
            f"{train}: every label is {used[0]}; a classifier needs images of at least two classes"
        )
    num_classes = int(used[-1]) + 1
    if len(unused := np.setdiff1d(np.arange(num_classes), used)):
        after = int(used[used > unused[0]][0])
        path = next(path for path, some in by_file.items() if some[after])
        raise InputError(
            f"{path}: label {after} has {_images(by_file[path][after])}, the first at position "
            f"{int(np.argmax(labels[path] == after)):,}, but {_range(unused)} below {num_classes - 1} "
            f"{'has' if len(unused) == 1 else 'have'} none; {FIX}"
        )
    if len(only_test := used[train_counts[used] == 0]):
        raise InputError(
            f"{train}: label {only_test[0]} has no training images, but {_images(counts[only_test[0]])} in "
            f"the test set; {FIX}"
        )
    is_unexpected = counts[used] < RARE * np.median(counts[used])
    if is_digits:
        is_unexpected |= used >= NUM_DIGITS
    if is_unexpected.any():
        shown = ", ".join(f"label {label} has {_images(counts[label])}" for label in used[is_unexpected])
        log.warning("%s: unexpected labels make %d classes: %s", train, num_classes, shown)
    return [str(label) for label in range(num_classes)]


def _images(count: int) -> str:
    return f"{count:,} image{'s' if count != 1 else ''}"


def _range(labels: np.ndarray) -> str:
    """Return the words for the first labels that follow each other."""
    last = labels[0] + int(np.argmin(np.append(np.diff(labels), 0) == 1))
    return f"label {labels[0]}" if last == labels[0] else f"the labels {labels[0]} to {last}"

"""Split a data set into training, validation and test images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mobilenet_lab.data.datasets.base import DatasetSource, ImageDataset
from mobilenet_lab.data.permutation import CHUNK, Indices, Permutation
from mobilenet_lab.data.stratified import stratified_subsets
from mobilenet_lab.runtime.errors import InputError

# The settings that decide which image belongs to which subset. Checkpoints store them; see `stored_split`.
SPLIT_KEYS = ("val_split", "test_split", "split", "split_seed", "max_train_samples")
SPLITS = ("auto", "random", "stratified")
# "auto" keeps these data sets' split, because their published results belong to it.
RANDOM_BY_DEFAULT = ("mnist", "fashion_mnist")
ON_CORRUPT_IMAGE = ("error", "skip")
STAGES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class IndexRange:
    """A range of positions in an order of a data set.

    Args:
        start: First position.
        size: Number of positions.
        permutation: Maps positions to indices; None keeps the order of the data set.
    """

    start: int
    size: int
    permutation: Callable[[Indices], Indices] | None = None

    def __len__(self) -> int:
        return self.size

    def __call__(self, positions: Indices) -> Indices:
        """Return the data set's indices for positions in this range, which count from 0."""
        positions = positions + self.start
        return positions if self.permutation is None else self.permutation(positions)


@dataclass(frozen=True)
class Subset:
    """The images of one split: a range of a data set."""

    dataset: ImageDataset
    index_range: IndexRange

    def __len__(self) -> int:
        return len(self.index_range)

    def count_classes(self, num_classes: int) -> list[int]:
        """Return the number of images per class, indexed by label.

        Raises:
            InputError: A label is not the index of a class.
        """
        counts = np.zeros(num_classes, np.int64)
        for begin in range(0, len(self), CHUNK):
            positions = np.arange(begin, min(begin + CHUNK, len(self)))
            labels = self.dataset.read_labels(self.index_range(positions))
            check_labels(labels, num_classes)
            counts += np.bincount(labels, minlength=num_classes)
        return counts.tolist()


def split_dataset(
    source: DatasetSource,
    val_split: float,
    test_split: float | None = None,
    split_seed: int = 0,
    max_train_samples: int | None = None,
    on_corrupt_image: str = "error",
    split: str = "auto",
) -> dict[str, Subset]:
    """Return the subsets "train", "val" and "test" of a data set.

    Validation and test images are chosen from the training images, unless the data set has its own.

    Args:
        source: The data set.
        val_split: Fraction below 1 or number of the training images to use for validation.
        test_split: Fraction below 1 or number of the training images to use for testing; None for a data set
            with its own test images.
        split_seed: Seed of the choice of validation and test images.
        max_train_samples: Number of training images to use; None uses all.
        on_corrupt_image: "error" fails when a file that cannot be decoded is read; "skip" checks all files
            now and leaves those out.
        split: "stratified" chooses by class, "random" regardless of it; see `resolve_split` for "auto".

    Raises:
        InputError: No training images remain, or `on_corrupt_image` or `split` is unknown.
    """
    is_stratified = resolve_split(split, source.name) == "stratified"
    skip_corrupt = _skips_corrupt(on_corrupt_image)
    dataset = source.open("train", skip_corrupt)
    own = [name for name in ("val", "test") if source.has_split(name) or (name, test_split) == ("test", None)]
    total = len(dataset)
    num_val = 0 if "val" in own else _count(val_split, total)
    num_test = 0 if "test" in own else _count(test_split or 0, total)
    num_train = total - num_val - num_test
    if num_train < 1:
        raise InputError(
            f"data.val_split={val_split}, data.test_split={test_split}: no training images remain of "
            f"{total:,}; use smaller splits"
        )
    if is_stratified and (num_val or num_test or max_train_samples):
        labels = _read_all_labels(dataset, len(source.classes))
        lists = stratified_subsets(labels, num_val, num_test, max_train_samples, split_seed)
        ranges = {name: IndexRange(0, len(some.indices), some) for name, some in lists.items()}
    else:
        permutation = Permutation(total, (split_seed,))
        num_used = min(num_train, max_train_samples or num_train)
        where = {"train": (num_val + num_test, num_used), "val": (0, num_val), "test": (num_val, num_test)}
        ranges = {name: IndexRange(*some, permutation) for name, some in where.items()}
    subsets = {name: Subset(dataset, ranges[name]) for name in STAGES}
    for name in own:
        images = source.open(name, skip_corrupt)
        subsets[name] = Subset(images, IndexRange(0, len(images)))
    return subsets


def _read_all_labels(dataset: ImageDataset, num_classes: int) -> np.ndarray:
    """Return all labels, in as few bytes as they need, shape (N,)."""
    labels = np.empty(len(dataset), np.min_scalar_type(num_classes - 1))
    for begin in range(0, len(dataset), CHUNK):
        end = min(begin + CHUNK, len(dataset))
        read = dataset.read_labels(np.arange(begin, end))
        check_labels(read, num_classes)
        labels[begin:end] = read
    return labels


def check_labels(labels: np.ndarray, num_classes: int) -> None:
    """Refuse labels of a data set that do not index its list of classes.

    Raises:
        InputError: A label is negative or too high.
    """
    if (label := int(labels.min())) < 0 or (label := int(labels.max())) >= num_classes:
        raise InputError(
            f"data: there is a label {label}, but {num_classes} classes have the labels 0 to "
            f"{num_classes - 1}; correct the labels or the list of classes"
        )


def resolve_split(split: str, name: str) -> str:
    """Return "random" or "stratified" for a value of `data.split` and the name of a data set.

    Raises:
        InputError: The value is unknown.
    """
    if split not in SPLITS:
        raise InputError(f"data.split={split}: must be one of {', '.join(SPLITS)}")
    if split != "auto":
        return split
    return "random" if name in RANDOM_BY_DEFAULT else "stratified"


def stored_split(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a split as a checkpoint stores them: numbers, and whether it is by class."""
    numbers = {key: value for key, value in settings.items() if key != "split"}
    return numbers | {"stratified": settings["split"] == "stratified"}


def split_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a split, as far as the description of the data in a checkpoint has them."""
    # A checkpoint that does not say how images were chosen is from before they were chosen by class.
    settings = {"split": "stratified" if data.get("stratified") else "random", **data}
    return {key: settings[key] for key in SPLIT_KEYS if key in settings}


def _skips_corrupt(on_corrupt_image: str) -> bool:
    if on_corrupt_image not in ON_CORRUPT_IMAGE:
        raise InputError(
            f"data.on_corrupt_image={on_corrupt_image}: must be one of {', '.join(ON_CORRUPT_IMAGE)}"
        )
    return on_corrupt_image == "skip"


def _count(split: float, total: int) -> int:
    return round(split * total) if split < 1 else int(split)

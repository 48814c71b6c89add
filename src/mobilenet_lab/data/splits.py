"""Split a data set into training, validation and test images."""

from dataclasses import dataclass

import numpy as np

from mobilenet_lab.data.datasets.base import DatasetSource, ImageDataset
from mobilenet_lab.data.permutation import CHUNK, Indices, Permutation
from mobilenet_lab.runtime.errors import InputError

# The settings that decide which image belongs to which subset. Checkpoints store them.
SPLIT_KEYS = ("val_split", "test_split", "split_seed", "max_train_samples")
ON_CORRUPT_IMAGE = ("error", "skip")


@dataclass(frozen=True)
class IndexRange:
    """A range of positions in a permutation of a data set.

    Args:
        start: First position.
        size: Number of positions.
        permutation: Maps positions to indices; None keeps the order of the data set.
    """

    start: int
    size: int
    permutation: Permutation | None = None

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
        """Return the number of images per class, indexed by label."""
        counts = np.zeros(num_classes, np.int64)
        for begin in range(0, len(self), CHUNK):
            positions = np.arange(begin, min(begin + CHUNK, len(self)))
            labels = self.dataset.read_labels(self.index_range(positions))
            counts += np.bincount(labels, minlength=num_classes)
        return counts.tolist()


def split_dataset(
    source: DatasetSource,
    val_split: float,
    test_split: float | None = None,
    split_seed: int = 0,
    max_train_samples: int | None = None,
    on_corrupt_image: str = "error",
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

    Raises:
        InputError: No training images remain, or `on_corrupt_image` is unknown.
    """
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
    permutation = Permutation(total, (split_seed,))
    ranges = {
        "train": (num_val + num_test, min(num_train, max_train_samples or num_train)),
        "val": (0, num_val),
        "test": (num_val, num_test),
    }
    subsets = {name: Subset(dataset, IndexRange(*where, permutation)) for name, where in ranges.items()}
    for name in own:
        images = source.open(name, skip_corrupt)
        subsets[name] = Subset(images, IndexRange(0, len(images)))
    return subsets


def _skips_corrupt(on_corrupt_image: str) -> bool:
    if on_corrupt_image not in ON_CORRUPT_IMAGE:
        raise InputError(
            f"data.on_corrupt_image={on_corrupt_image}: must be one of {', '.join(ON_CORRUPT_IMAGE)}"
        )
    return on_corrupt_image == "skip"


def _count(split: float, total: int) -> int:
    return round(split * total) if split < 1 else int(split)

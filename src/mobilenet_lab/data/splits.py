"""The order in which images are read: a pure function of (seed, epoch) that needs no memory.

A shuffled list of six million indices takes 48 MB; a keyed permutation computes the index at any position
instead. So a run can start at any position of any epoch, and a large data set costs no more than a
small one.
"""

from dataclasses import dataclass

import numpy as np

from mobilenet_lab.data.datasets.base import DatasetSource, ImageDataset
from mobilenet_lab.data.permutation import CHUNK, Indices, Permutation
from mobilenet_lab.runtime.errors import InputError

# The keys of a data configuration that decide which image belongs to which part
SPLIT_KEYS = ("val_split", "test_split", "split_seed", "max_train_samples")


@dataclass(frozen=True)
class IndexRange:
    """A part of a data set: the elements of a permutation from `start` on.

    Without a permutation, the images from `start` on in the data set's own order.
    """

    start: int
    size: int
    permutation: Permutation | None = None

    def __len__(self) -> int:
        return self.size

    def __call__(self, positions: Indices) -> Indices:
        """Indices into the data set of the images at these positions of the part."""
        positions = positions + self.start
        return positions if self.permutation is None else self.permutation(positions)


@dataclass(frozen=True)
class Subset:
    """The images of a split."""

    dataset: ImageDataset
    split: IndexRange

    def __len__(self) -> int:
        return len(self.split)

    def count_classes(self, num_classes: int) -> list[int]:
        """Images of each class, by label."""
        counts = np.zeros(num_classes, np.int64)
        for begin in range(0, len(self), CHUNK):
            positions = np.arange(begin, min(begin + CHUNK, len(self)))
            labels = self.dataset.read_labels(self.split(positions))
            counts += np.bincount(labels, minlength=num_classes)
        return counts.tolist()


def split_dataset(
    source: DatasetSource,
    val_split: float,
    test_split: float | None,
    split_seed: int,
    max_train_samples: int | None = None,
) -> dict[str, Subset]:
    """Divide a source into the parts "train", "val" and "test"; those that it has itself stay as they are.

    Args:
        source: The data set.
        val_split: Share of the training images held out to validate: a fraction below 1, or a count.
        test_split: Likewise to test; None for a data set that has test images.
        split_seed: Which images are held out.
        max_train_samples: Keep only so many training images.

    Raises:
        InputError: nothing would be left to train on.
    """
    dataset = source.open("train")
    total = len(dataset)
    permutation = Permutation(total, (split_seed,))
    num_test = 0 if test_split is None or source.has_split("test") else _count(test_split, total)
    num_val = 0 if source.has_split("val") else _count(val_split, total)
    num_train = total - num_val - num_test
    if num_train < 1:
        raise InputError(
            f"data.val_split={val_split}, data.test_split={test_split}: "
            f"leave nothing to train on of {total:,} images"
        )
    parts = {
        "val": Subset(dataset, IndexRange(0, num_val, permutation)),
        "train": Subset(
            dataset,
            IndexRange(num_val + num_test, min(num_train, max_train_samples or num_train), permutation),
        ),
    }
    if test_split is not None:
        parts["test"] = Subset(dataset, IndexRange(num_val, num_test, permutation))
    for name in ("val", "test"):
        if source.has_split(name) or name not in parts:
            own = source.open(name)
            parts[name] = Subset(own, IndexRange(0, len(own)))
    return parts


def _count(share: float, total: int) -> int:
    return round(share * total) if share < 1 else int(share)

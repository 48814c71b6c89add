"""The order in which training reads its images: a function of seed and epoch, for any position."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from mobilenet_lab.data.permutation import CHUNK, Indices, Permutation, Permutations
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

SAMPLING = "sampling"  # key of the position in a checkpoint
SHUFFLE, BALANCED = "shuffle", "balanced"
SAMPLINGS = (SHUFFLE, BALANCED)


class EpochOrder(Protocol):
    """Assigns an image to each position of each epoch."""

    def __call__(self, positions: Indices, seed: int, epoch: int) -> Indices:
        """Return the images at positions of an epoch, both counted from 0."""
        ...


class ShuffledOrder:
    """Every image once per epoch.

    Args:
        num_images: Number of images.
    """

    def __init__(self, num_images: int) -> None:
        self.num_images = num_images

    def __call__(self, positions: Indices, seed: int, epoch: int) -> Indices:
        """Return the images at these positions of the epoch."""
        return Permutation(self.num_images, (seed, epoch))(positions)


class BalancedOrder:
    """Every class equally often per epoch, up to one image. An epoch has as many positions as images.

    The draws of all epochs form one sequence, which takes the classes in turn. A class draws all of its
    images before it repeats one, each time in a new order. So a class that is larger than its share of an
    epoch continues in the next epoch where it stopped.

    It keeps the images sorted by class, 4 bytes per image; nothing depends on the number of epochs.

    Args:
        labels: Returns the labels of images, from their positions.
        num_images: Number of images.
    """

    def __init__(self, labels: Callable[[Indices], np.ndarray], num_images: int) -> None:
        self.num_images = num_images
        starts = range(0, num_images, CHUNK)
        found = [labels(np.arange(start, min(start + CHUNK, num_images))) for start in starts]
        all_labels = np.concatenate(found).astype(np.int32)
        # Classes without images have no turn.
        _, self._sizes = np.unique(all_labels, return_counts=True)
        self._by_class = np.argsort(all_labels, kind="stable").astype(np.uint32)
        self._first = np.cumsum(self._sizes) - self._sizes

    def __call__(self, positions: Indices, seed: int, epoch: int) -> Indices:
        """Return the images at these positions of the epoch."""
        turns = Permutation(self.num_images, (seed, epoch))(positions)
        draws, classes = np.divmod(turns + epoch * self.num_images, len(self._sizes))
        sizes = self._sizes[classes]
        rounds, members = np.divmod(draws, sizes)
        # A different permutation for each round of each class
        numbers = rounds * len(self._sizes) + classes
        members = Permutations((seed,))(sizes, numbers, members)
        return self._by_class[self._first[classes] + members].astype(np.int64)


def epoch_order(sampling: str, subset: Subset) -> EpochOrder:
    """Return the order of the training images.

    Args:
        sampling: "shuffle" for every image once per epoch, "balanced" for every class equally often.
        subset: The training images.

    Raises:
        InputError: The sampling is unknown.
    """
    if sampling not in SAMPLINGS:
        raise InputError(f"data.sampling={sampling}: must be one of {', '.join(SAMPLINGS)}")
    if sampling == SHUFFLE:
        return ShuffledOrder(len(subset))
    return BalancedOrder(lambda at: subset.dataset.read_labels(subset.index_range(at)), len(subset))


def check_same_order(before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Check that an epoch can be continued within.

    Args:
        before: What the order of its images depends on in a checkpoint.
        now: The same of this run.

    Raises:
        InputError: A value differs.
    """
    before = {SAMPLING: SHUFFLE, **before}  # checkpoints from before there was a choice
    for key, value in now.items():
        if before[key] != value:
            raise InputError(
                f"resume: the checkpoint is from the middle of an epoch with {key} "
                f"{printable(str(before[key]))}, but this run has {value}; use the earlier value"
            )

"""Protocols of a data set: `DatasetSource` opens the splits, `ImageDataset` reads batches.

The unit of reading is a batch: the sampler asks for one, and the data set answers with a single read.
"""

from typing import Protocol, TypedDict

import numpy as np
from torch import Tensor


class Batch(TypedDict):
    """A batch as read from the data set.

    Attributes:
        images: uint8, shape (N, C, H, W).
        labels: int64, shape (N,).
        seed: 32-bit seed for the augmentation of this batch.
    """

    images: Tensor
    labels: Tensor
    seed: int


class ImageDataset(Protocol):
    """Labeled images that are read a batch at a time."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read a batch.

        Args:
            indices: Positions of the images, shape (n,).

        Returns:
            Images, uint8, shape (n, C, H, W), and labels, int64, shape (n,).
        """
        ...

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read labels without images: integers, shape (n,)."""
        ...


class DatasetSource(Protocol):
    """A data set. To add one, write a class with these members and name it in `conf/data`."""

    @property
    def name(self) -> str:
        """Name of the choice in `conf/data`; checkpoints store it."""
        ...

    @property
    def classes(self) -> list[str]:
        """Class names, indexed by label."""
        ...

    @property
    def native_size(self) -> int:
        """Longer side of an image in pixels, as `ImageDataset.read` returns it."""
        ...

    @property
    def mnist_style(self) -> bool:
        """Whether images are single digits, bright on black, cropped and centered as in MNIST.

        If so, prediction converts photos of digits to this style first.
        """
        ...

    @property
    def fit(self) -> str:
        """How prediction makes other images square before the network sees them: a key of `images.FITS`."""
        ...

    def prepare(self) -> None:
        """Download missing files."""
        ...

    def has_split(self, split: str) -> bool:
        """Return whether the data set comes with its own "val" or "test" images."""
        ...

    def open(self, split: str, skip_corrupt: bool = False) -> ImageDataset:
        """Open a split.

        Args:
            split: "train", or "val" or "test" if `has_split` says so.
            skip_corrupt: Whether to leave out images that cannot be decoded. Formats without a file per image
                ignore it.
        """
        ...

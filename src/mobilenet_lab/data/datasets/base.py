"""A data set's parts as loaders of whole batches, without Lightning.

A batch is the unit of reading: the sampler asks for a batch, the images answer with one read.
"""

from typing import Protocol, TypedDict

import numpy as np
from torch import Tensor


class Batch(TypedDict):
    """A batch as read.

    `images` uint8, shape (N, C, H, W); `labels` int64, shape (N,); `seed` for its augmentation.
    """

    images: Tensor
    labels: Tensor
    seed: int


class ImageDataset(Protocol):
    """Labelled images that are read a batch at a time."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Images, uint8, shape (n, C, H, W), and labels, int64, shape (n,)."""
        ...

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels alone, whole numbers, shape (n,)."""
        ...


class DatasetSource(Protocol):
    """A data set. To add one, write a class with these members and name it in conf/data."""

    @property
    def name(self) -> str:
        """The choice of the `data` group."""
        ...

    @property
    def classes(self) -> list[str]:
        """The classes' names, by label."""
        ...

    @property
    def native_size(self) -> int:
        """Pixels of a image's longer side, as read."""
        ...

    @property
    def mnist_style(self) -> bool:
        """Whether the images are digits in MNIST's form."""
        ...

    def prepare(self) -> None:
        """Fetch what is missing."""
        ...

    def has_split(self, part: str) -> bool:
        """Whether the data set has images of its own for "val" or "test"."""
        ...

    def open(self, part: str) -> ImageDataset:
        """The images of "train", or of another part that it has."""
        ...

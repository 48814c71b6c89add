"""A data set with the labels of another order of classes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.datasets.base import ImageDataset


@dataclass(frozen=True)
class RelabeledDataset:
    """The images of a data set, with new labels.

    Args:
        dataset: The images with their own labels.
        new_labels: The new label of each label, int64, shape (C,).
    """

    dataset: ImageDataset
    new_labels: np.ndarray

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read a batch: images, uint8, (n, C, H, W), and new labels, int64, (n,)."""
        images, labels = self.dataset.read(indices)
        return images, torch.from_numpy(self.new_labels)[labels]

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read new labels without images: int64, shape (n,)."""
        return self.new_labels[self.dataset.read_labels(indices)]

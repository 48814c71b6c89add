"""Batches whose images are mixed with each other, and their targets likewise, on the device that trains.

A image's partner is the next of its batch, whose order is random already. How much of it enters is
drawn for each image from Beta(alpha, alpha).
"""

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mobilenet_lab.data.transforms.augmentation import box_mask


class Mixing(Protocol):
    """Mixes a prepared batch."""

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: Float, shape (N, C, H, W).
            labels: int64, shape (N,).
            num_classes: Number of classes.
            generator: Its seed determines what is drawn.

        Returns:
            Images of the same shape, and targets: labels as they came, or the probability of each class,
            shape (N, num_classes).
        """
        ...


class NoMixing:
    """Leaves the batch as it is."""

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Return images and labels."""
        return images, labels


class _BetaMixing:
    """Draws how much of its partner enters a image.

    Args:
        alpha: Of the Beta distribution.
        probability: Share of the images that are mixed.
    """

    def __init__(self, alpha: float, probability: float) -> None:
        self.alpha = alpha
        self.probability = probability

    def _sample_lambda(self, images: Tensor, generator: Generator) -> Tensor:
        """For each image, float32, shape (N,)."""
        # PyTorch's own gamma and beta distributions take no generator.
        random = np.random.default_rng(generator.initial_seed())
        share = random.beta(self.alpha, self.alpha, len(images))
        share *= random.random(len(images)) < self.probability
        return torch.from_numpy(share.astype(np.float32)).to(images.device, non_blocking=True)


class MixUp(_BetaMixing):
    """Weighted means of two images and of their targets (Zhang et al. 2017, arXiv:1710.09412).

    Args:
        alpha: Small values leave most images nearly as they are, 1.0 takes all weights alike.
        probability: Share of the images that are mixed.
    """

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; see `Mixing`."""
        share = self._sample_lambda(images, generator)
        mixed = images.lerp(images.roll(-1, 0), share[:, None, None, None])
        return mixed, _mix_targets(labels, share, num_classes)


class CutMix(_BetaMixing):
    """A rectangle of another image, and its share of the target (Yun et al. 2019, arXiv:1905.04899).

    Args:
        alpha: Small values cut nothing or nearly all, 1.0 takes all areas alike.
        probability: Share of the images that are mixed.
    """

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; see `Mixing`."""
        half = self._sample_lambda(images, generator).sqrt() / 2
        centre = torch.rand((2, len(images)), generator=generator, device=images.device)
        cut = box_mask(images.shape[2:], (centre[0], centre[1]), (half, half))
        mixed = torch.where(cut[:, None], images.roll(-1, 0), images)
        return mixed, _mix_targets(labels, cut.float().mean(dim=(1, 2)), num_classes)


def _mix_targets(labels: Tensor, share: Tensor, num_classes: int) -> Tensor:
    targets = F.one_hot(labels, num_classes).float()
    return targets.lerp(targets.roll(-1, 0), share[:, None])

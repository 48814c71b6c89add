"""Mix the images of a batch with each other, and their targets in proportion, on the training device.

The partner of an image is the next one in the batch, whose order is random already. The mixing weight of
each image is drawn from Beta(alpha, alpha).
"""

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mobilenet_lab.data.transforms.augmentation import box_mask

STREAM = 0x4D  # keeps the random numbers apart from those of other transforms


class Mixing(Protocol):
    """Mixes a batch after preprocessing."""

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: Float, shape (N, C, H, W).
            labels: int64, shape (N,).
            num_classes: Number of classes.
            generator: Source of random numbers; its seed alone determines the result.

        Returns:
            Images of the same shape, and targets: the labels, or the probability of each class, float32,
            shape (N, num_classes).
        """
        ...


class NoMixing:
    """Returns a batch unchanged."""

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Return images and labels."""
        return images, labels


class _BetaMixing:
    """Samples the mixing weight (lambda) for each image.

    Args:
        alpha: Parameter of the distribution Beta(alpha, alpha).
        probability: Fraction of the images that are mixed; the others get weight 0.
    """

    def __init__(self, alpha: float, probability: float) -> None:
        self.alpha = alpha
        self.probability = probability

    def _sample_lambda(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the weight of each image's partner, float32, shape (N,)."""
        # PyTorch's gamma and beta distributions take no generator.
        random = np.random.default_rng(generator.initial_seed())
        weights = random.beta(self.alpha, self.alpha, len(images))
        weights *= random.random(len(images)) < self.probability
        return torch.from_numpy(weights.astype(np.float32)).to(images.device, non_blocking=True)


class MixUp(_BetaMixing):
    """Takes weighted means of partners and of their targets (Zhang et al. 2017, arXiv:1710.09412).

    Args:
        alpha: Small values leave most images nearly unchanged; with 1.0 all weights are equally likely.
        probability: Fraction of the images that are mixed.
    """

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; see `Mixing`."""
        weights = self._sample_lambda(images, generator)
        mixed = images.lerp(images.roll(-1, 0), weights[:, None, None, None])
        return mixed, _mix_targets(labels, weights, num_classes)


class CutMix(_BetaMixing):
    """Pastes a rectangle of the partner, and mixes targets by its area (Yun et al. 2019, arXiv:1905.04899).

    Args:
        alpha: Small values paste nearly nothing or nearly everything; with 1.0 all areas are equally likely.
        probability: Fraction of the images that are mixed.
    """

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; see `Mixing`."""
        half = self._sample_lambda(images, generator).sqrt() / 2
        center = torch.rand((2, len(images)), generator=generator, device=images.device)
        pasted = box_mask(images.shape[2:], (center[0], center[1]), (half, half))
        mixed = torch.where(pasted[:, None], images.roll(-1, 0), images)
        return mixed, _mix_targets(labels, pasted.float().mean(dim=(1, 2)), num_classes)


class MixUpOrCutMix:
    """Mixes each batch by one of the two, with equal probability, as in torchvision's reference training.

    Args:
        mixup_alpha: See `MixUp`.
        cutmix_alpha: See `CutMix`.
        probability: Fraction of the images of a batch that are mixed.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float, probability: float) -> None:
        self._choices = (MixUp(mixup_alpha, probability), CutMix(cutmix_alpha, probability))

    def __call__(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; see `Mixing`."""
        # The weights of both come from the seed alone; a stream of its own makes the choice independent.
        choice = int(np.random.default_rng((STREAM, generator.initial_seed())).integers(2))
        return self._choices[choice](images, labels, num_classes, generator)


def _mix_targets(labels: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    targets = F.one_hot(labels, num_classes).float()
    return targets.lerp(targets.roll(-1, 0), weights[:, None])

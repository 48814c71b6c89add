"""Keep the worst mistakes of an epoch, without waiting for the device."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, distributed

from mobilenet_lab.runs.quality import Mistake

NUM_MISTAKES = 25


def denormalize(images: Tensor, preprocessing: Mapping[str, Any]) -> Tensor:
    """Return normalized images as bytes.

    Args:
        images: Shape (N, C, H, W), normalized as in `data.transforms.preprocessing`.
        preprocessing: Arguments of `Preprocessing`; `mean` and `std` are used.

    Returns:
        uint8, shape (N, C, H, W), on the same device.
    """
    mean, std = (
        torch.as_tensor(preprocessing[name], dtype=torch.float32)
        .view(1, -1, 1, 1)
        .to(images.device, non_blocking=True)  # otherwise the copy waits for the device
        for name in ("mean", "std")
    )
    return ((images.float() * std + mean) * 255).round_().clamp_(0, 255).to(torch.uint8)


def as_arrays(images: Tensor) -> list[np.ndarray]:
    """Return images of shape (N, C, H, W) as arrays of shape (H, W) or (H, W, 3)."""
    arrays: np.ndarray = images.permute(0, 2, 3, 1).cpu().numpy()
    return list(arrays[..., 0] if arrays.shape[3] == 1 else arrays)


class WorstMistakes:
    """The misclassified images with the highest confidence, kept on the device in a buffer of fixed size.

    Args:
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`.
        size: Number of images.
    """

    def __init__(self, preprocessing: Mapping[str, Any], size: int = NUM_MISTAKES) -> None:
        self._preprocessing = preprocessing
        self.size = size
        self.reset()

    def reset(self) -> None:
        """Forget the images."""
        self._images: Tensor | None = None
        self._facts: Tensor | None = None

    def update(self, images: Tensor, labels: Tensor, predictions: Tensor, confidence: Tensor) -> None:
        """Add a batch.

        Args:
            images: Shape (N, C, H, W), as the network sees them.
            labels: Shape (N,), int64.
            predictions: Shape (N,), int64.
            confidence: Probabilities of the predictions, shape (N,), float32.
        """
        score = torch.where(predictions != labels, confidence, -1.0)  # -1: no mistake
        chosen = score.topk(min(self.size, len(score))).indices
        new_images = denormalize(images[chosen], self._preprocessing)
        # float32 has every label exactly: there are at most 2 ** 15 classes.
        new_facts = torch.stack([t[chosen].float() for t in (score, labels, predictions)])  # (3, n)
        if self._images is not None and self._facts is not None:
            if new_images.shape[1:] != self._images.shape[1:]:  # a loader with batches of several sizes
                new_images = F.interpolate(new_images.float(), self._images.shape[2:]).to(torch.uint8)
            new_images = torch.cat([self._images, new_images])
            new_facts = torch.cat([self._facts, new_facts], dim=1)
            best = new_facts[0].topk(min(self.size, new_facts.shape[1])).indices
            new_images, new_facts = new_images[best], new_facts[:, best]
        self._images, self._facts = new_images, new_facts

    def compute(self) -> list[Mistake]:
        """Return the mistakes of all ranks, the most confident first; all ranks must call it."""
        mistakes = self._own()
        if distributed.is_available() and distributed.is_initialized():
            gathered: list[list[Mistake]] = [[]] * distributed.get_world_size()
            distributed.all_gather_object(gathered, mistakes)
            mistakes = [mistake for rank in gathered for mistake in rank]
        # The rest of the key makes the order independent of the number of ranks.
        mistakes.sort(key=lambda m: (-m.confidence, m.label, m.prediction, m.image.tobytes()))
        return mistakes[: self.size]

    def _own(self) -> list[Mistake]:
        if self._images is None or self._facts is None:
            return []
        images, (scores, labels, predictions) = as_arrays(self._images), self._facts.tolist()
        return [
            Mistake(image, int(label), int(prediction), score)
            for image, score, label, prediction in zip(images, scores, labels, predictions, strict=True)
            if score >= 0
        ]

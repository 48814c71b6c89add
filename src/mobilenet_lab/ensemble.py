"""Trained networks ready for use: from pictures as read to logits, of one network or of several together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.checkpoint import load_checkpoint, network_from
from mobilenet_lab.data.preprocessing import Preprocessing
from mobilenet_lab.errors import InputError
from mobilenet_lab.models.folding import fold_norms

Classify = Callable[[Tensor], Tensor]  # pictures as read, uint8, shape (N, C, H, W), to logits


class Ensemble:
    """One or several trained networks, each with the preprocessing that it was trained with.

    Args:
        paths: Checkpoint files.
        device: Where to work.
        fold_norm: Whether batch normalisation is folded into the convolutions; see `models.folding`.

    Attributes:
        classes: The classes' names, by label.
        data: What the pictures were in training, for each network; see `classifier.ImageClassifier`.
        channels: Of the pictures as the networks take them.
        largest_side: Pixels of the pictures' longer side, as read or as a network takes them.

    Raises:
        InputError: a checkpoint cannot be used, the networks do not go together, or there is none.
    """

    def __init__(self, paths: Sequence[Path], device: torch.device, fold_norm: bool = False) -> None:
        self.device = device
        if not paths:
            raise InputError("ckpt=[]: needs a checkpoint")
        self._members: list[tuple[nn.Module, Preprocessing]] = []
        self.data: list[dict[str, Any]] = []
        self.largest_side = 0
        first = None
        for path in paths:
            checkpoint = load_checkpoint(path)
            network = network_from(checkpoint, path)
            hparams = checkpoint["hyper_parameters"]
            try:
                preprocessing = Preprocessing(**hparams["preprocessing"])
            except (TypeError, InputError) as error:
                raise InputError(f"{path}: not a checkpoint of this project: {error}") from error
            data = hparams["data"]
            self.data.append(data)
            self.largest_side = max(self.largest_side, data["picture_size"], preprocessing.image_size)
            reading = (data["picture_size"], data["fit"], data["digits"], preprocessing.channels)
            if first is None:
                first = reading
                self.classes: list[str] = list(hparams["classes"])
                self.channels = preprocessing.channels
            elif list(hparams["classes"]) != self.classes or reading != first:
                raise InputError(f"{path}: has other classes or pictures than {paths[0]}")
            member = fold_norms(network) if fold_norm else network
            self._members.append((member.to(device), preprocessing))

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            images: uint8, shape (N, 1 or 3, H, W), as read.

        Returns:
            Logits, float32, shape (N, number of classes), on the device; those of several networks are the
            logarithm of their mean probability.
        """
        images = images.to(self.device, non_blocking=True)
        logits = [network(preprocessing(images)).float() for network, preprocessing in self._members]
        return logits[0] if len(logits) == 1 else log_mean_probability(logits)


def with_shifts(classify: Classify, pixels: int) -> Classify:
    """Classify each picture at all whole-pixel shifts up to a distance, and take the mean probability.

    Args:
        classify: What classifies a batch.
        pixels: Of the picture as read, in each direction; black enters at the edges.
    """

    def classify_shifted(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padded = F.pad(images, (pixels,) * 4)
        places = range(2 * pixels + 1)
        return log_mean_probability(
            [
                classify(padded[:, :, top : top + height, left : left + width])
                for top in places
                for left in places
            ]
        )

    return classify_shifted


def log_mean_probability(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of several probabilities, all of shape (N, number of classes)."""
    return torch.stack([some.softmax(dim=1) for some in logits]).mean(dim=0).log()

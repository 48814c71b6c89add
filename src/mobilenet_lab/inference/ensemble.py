"""Trained networks ready for use: from images as read to logits, of one network or of several together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.network import network_from
from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.models.fuse import fuse_conv_bn
from mobilenet_lab.runtime.errors import InputError

Classify = Callable[[Tensor], Tensor]  # images as read, uint8, shape (N, C, H, W), to logits


class Ensemble:
    """One or several trained networks, each with the preprocessing that it was trained with.

    Args:
        paths: Checkpoint files.
        device: Where to work.
        fuse_bn: Whether batch normalisation is folded into the convolutions; see `models.folding`.

    Attributes:
        classes: The classes' names, by label.
        data: What the images were in training, for each network; see `classifier.ImageClassifier`.
        channels: Of the images as the networks take them.
        largest_side: Pixels of the images' longer side, as read or as a network takes them.

    Raises:
        InputError: a checkpoint cannot be used, the networks do not go together, or there is none.
    """

    def __init__(self, paths: Sequence[Path], device: torch.device, fuse_bn: bool = False) -> None:
        self.device = device
        if not paths:
            raise InputError("ckpt=[]: needs a checkpoint")
        self.instantiate_group: list[tuple[nn.Module, Preprocessing]] = []
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
            self.largest_side = max(self.largest_side, data["native_size"], preprocessing.image_size)
            reading = (data["native_size"], data["fit"], data["mnist_style"], preprocessing.channels)
            if first is None:
                first = reading
                self.classes: list[str] = list(hparams["classes"])
                self.channels = preprocessing.channels
            elif list(hparams["classes"]) != self.classes or reading != first:
                raise InputError(f"{path}: has other classes or images than {paths[0]}")
            member = fuse_conv_bn(network) if fuse_bn else network
            self.instantiate_group.append((member.to(device), preprocessing))

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
        logits = [network(preprocessing(images)).float() for network, preprocessing in self.instantiate_group]
        return logits[0] if len(logits) == 1 else log_mean_softmax(logits)


def with_tta_shifts(classify: Classify, pixels: int) -> Classify:
    """Classify each image at all whole-pixel shifts up to a distance, and take the mean probability.

    Args:
        classify: What classifies a batch.
        pixels: Of the image as read, in each direction; black enters at the edges.
    """

    def classify_shifted(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padded = F.pad(images, (pixels,) * 4)
        places = range(2 * pixels + 1)
        return log_mean_softmax(
            [
                classify(padded[:, :, top : top + height, left : left + width])
                for top in places
                for left in places
            ]
        )

    return classify_shifted


def log_mean_softmax(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of several probabilities, all of shape (N, number of classes)."""
    return torch.stack([some.softmax(dim=1) for some in logits]).mean(dim=0).log()

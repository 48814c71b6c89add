"""Trained networks that are ready to use: from images as read to logits, by one network or several."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.network import network_from
from mobilenet_lab.checkpoints.state import hyper_parameters
from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.inference.classifier import MAX_BATCH_PIXELS, Classifier
from mobilenet_lab.models.complexity import MAX_PEAK, estimate_cost
from mobilenet_lab.models.fuse import fuse_conv_bn
from mobilenet_lab.runtime.errors import InputError

Classify = Callable[[Tensor], Tensor]  # images as read, uint8, (N, C, H, W), to logits, (N, num_classes)


class Ensemble:
    """One or several trained networks, each with the preprocessing it was trained with.

    Args:
        paths: Checkpoint files.
        device: Device of the networks.
        fuse_bn: Whether to fuse batch normalization into convolutions; see `models.fuse`.
        cpu_layers: Whether to use the faster implementations of layers in `models.cpu_layers`.

    Attributes:
        classes: Class names, indexed by label.
        data: The data set of each network; see `ImageDataModule.describe`.
        members: The networks, each with its preprocessing.
        channels: Channels of the images that the networks take.
        visible_side: See `Classifier`.
        largest_side: Longer side of an image in pixels, as read or as a network takes it.

    Raises:
        InputError: There is no checkpoint, one cannot be used, or the networks do not go together.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        device: torch.device,
        fuse_bn: bool = False,
        cpu_layers: bool = True,
    ) -> None:
        if not paths:
            raise InputError("ckpt=[]: is empty; give at least one checkpoint")
        self.paths = list(paths)
        self.device = device
        self.data: list[dict[str, Any]] = []
        self.largest_side = self.visible_side = 0
        self._peak = 1  # elements of activations for one image
        self.members: list[tuple[nn.Module, Preprocessing]] = []
        for path in paths:
            self._add(path, fuse_bn, cpu_layers)

    def _add(self, path: Path, fuse_bn: bool, cpu_layers: bool) -> None:
        checkpoint = load_checkpoint(path)
        network = network_from(checkpoint, path, cpu_layers)
        hparams = hyper_parameters(checkpoint)
        data, classes = hparams["data"], list(hparams["classes"])
        try:
            preprocessing = Preprocessing(**hparams["preprocessing"])
        except (TypeError, InputError) as error:
            raise InputError(f"{path}: not a checkpoint of this project, {error}; use another one") from error
        reading = (data["native_size"], data["fit"], data["mnist_style"], preprocessing.channels)
        if not self.members:
            self._reading = reading
            self.classes, self.channels = classes, preprocessing.channels
        elif (classes, reading) != (self.classes, self._reading):
            raise InputError(
                f"{path}: has other classes or another image format than {self.paths[0]}; use networks "
                "that were trained on the same data"
            )
        if fuse_bn:
            network = fuse_conv_bn(network)
        cost = estimate_cost(network, preprocessing.channels, preprocessing.image_size)
        self._peak = max(self._peak, cost.peak)
        self.members.append((network.to(self.device), preprocessing.to(self.device)))
        self.data.append(data)
        side = data["native_size"]
        self.largest_side = max(self.largest_side, side, preprocessing.image_size)
        self.visible_side = max(self.visible_side, min(side, preprocessing.visible_side(side)))

    @property
    def max_batch(self) -> int:
        """Largest number of images that fit into the memory of one image of the most expensive network."""
        return max(1, min(MAX_BATCH_PIXELS // self.largest_side**2, MAX_PEAK // self._peak))

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            images: uint8, shape (N, 1 or 3, H, W), as read from the data set.

        Returns:
            Logits, float32, shape (N, num_classes), on the device of the networks. For several networks these
            are the logarithms of their mean probabilities.
        """
        images = images.to(self.device, non_blocking=True)
        logits = [network(preprocessing(images)).float() for network, preprocessing in self.members]
        return logits[0] if len(logits) == 1 else log_mean_softmax(logits)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of each class; see `Classifier.probabilities`."""
        return self(torch.from_numpy(images)).softmax(dim=1).cpu().numpy()


def as_classify(classifier: Classifier) -> Classify:
    """Return the function from images to logits; logarithms of the probabilities if there are no logits."""
    if isinstance(classifier, Ensemble):
        return classifier
    return lambda images: torch.from_numpy(classifier.probabilities(images.numpy())).log()


def with_tta_shifts(classify: Classify, pixels: int) -> Classify:
    """Add test-time augmentation: average probabilities over all whole-pixel shifts up to a distance.

    Args:
        classify: Classifies a batch.
        pixels: Largest distance in each direction, in pixels of the images as read; black fills the edges.
    """

    def classify_shifted(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padded = F.pad(images, (pixels,) * 4)
        offsets = range(2 * pixels + 1)
        return log_mean_softmax(
            [
                classify(padded[:, :, top : top + height, left : left + width])
                for top in offsets
                for left in offsets
            ]
        )

    return classify_shifted


def log_mean_softmax(logits: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean probabilities; all shapes are (N, num_classes)."""
    return torch.stack([one.softmax(dim=1) for one in logits]).mean(dim=0).log()

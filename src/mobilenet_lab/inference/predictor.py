"""Classify images with a checkpoint and the preprocessing it was trained with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mobilenet_lab.checkpoints.locate import find_checkpoints
from mobilenet_lab.data.images import resize_to_square, to_gray_or_rgb
from mobilenet_lab.data.transforms.mnist_style import prepare_digit
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.runtime.devices import pick_device
from mobilenet_lab.runtime.errors import InputError

NOT_FINITE = "the network computes NaN or infinity for it; use another checkpoint"


@dataclass(frozen=True)
class Prediction:
    """The classification of one image.

    Attributes:
        class_name: The most likely class.
        probabilities: Probability of every class, in the order of labels; they add up to 1.
    """

    class_name: str
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """Probability of the most likely class."""
        return self.probabilities[self.class_name]

    @property
    def is_finite(self) -> bool:
        """False if the network computes NaN or infinity for the image, so that there is no answer."""
        return math.isfinite(self.confidence)  # softmax makes all probabilities NaN then


class Predictor:
    """Classifies images. Several networks answer with their mean probability.

    Args:
        checkpoint: A checkpoint file, a run folder, "latest", a list of these, or an `Ensemble`.
        preprocess: "auto" converts photos and drawings of digits to MNIST's style, for networks that were
            trained on such images; "none" only resizes.
        accelerator: "cpu", "gpu", or "auto" for a GPU if there is one. An `Ensemble` keeps its device.
        fuse_bn: Whether to fuse batch normalization into convolutions; see `models.fuse`. An `Ensemble` stays
            as it is.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        InputError: The checkpoint cannot be used, or there is no GPU.
    """

    def __init__(
        self,
        checkpoint: str | Path | Sequence[str | Path] | Ensemble,
        preprocess: str = "auto",
        accelerator: str = "cpu",
        fuse_bn: bool = True,
    ) -> None:
        if not isinstance(checkpoint, Ensemble):
            checkpoint = Ensemble(find_checkpoints(checkpoint), pick_device(accelerator), fuse_bn)
        self._ensemble = checkpoint
        self._data = checkpoint.data[0]
        self._prepares_digits = preprocess == "auto" and self._data["mnist_style"]
        self.classes = checkpoint.classes

    @property
    def max_batch(self) -> int:
        """Largest number of images to classify as one batch; see `Ensemble.max_batch`."""
        return self._ensemble.max_batch

    def __call__(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Classify images of any size, mode and orientation, as one batch.

        Raises:
            InputError: The network computes NaN or infinity for an image.
        """
        predictions = self.classify([self.prepare(to_gray_or_rgb(image)) for image in images])
        for i, prediction in enumerate(predictions):
            if not prediction.is_finite:
                raise InputError(f"image {i}: {NOT_FINITE}")
        return predictions

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Convert an image to the format in which images of the data set are read.

        Args:
            image: Upright, mode "L" or "RGB", as `load_image` returns it.

        Returns:
            uint8, shape (channels, side, side).
        """
        size = self._data["native_size"]
        if self._prepares_digits:
            pixels = prepare_digit(image)
            if pixels.shape == (size, size) and self._ensemble.channels == 1:
                return pixels[None]
            image = Image.fromarray(pixels)
        return resize_to_square(image, size, self._ensemble.channels, self._data["fit"])

    def classify(self, pixels: Sequence[np.ndarray]) -> list[Prediction]:
        """Classify images that `prepare` has converted, as one batch."""
        if not pixels:
            return []
        probabilities = self.probabilities(torch.from_numpy(np.stack(pixels))).tolist()
        return [
            Prediction(self.classes[int(np.argmax(row))], dict(zip(self.classes, row, strict=True)))
            for row in probabilities
        ]

    def probabilities(self, images: Tensor) -> Tensor:
        """Return the probabilities of each class.

        Args:
            images: uint8, shape (N, 1 or 3, H, W), in the format of the data set.

        Returns:
            float32, shape (N, num_classes), on the CPU.
        """
        return self._ensemble(images).softmax(dim=1).cpu()

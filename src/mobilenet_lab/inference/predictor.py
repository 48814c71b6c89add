"""Name what images show, from a checkpoint alone: neither Lightning nor the training code is imported."""

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


@dataclass(frozen=True)
class Prediction:
    """What a image shows.

    Attributes:
        class_name: The likeliest class.
        probabilities: Of every class, in the order of labels; they add up to 1.
    """

    class_name: str
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """The likeliest class's probability."""
        return self.probabilities[self.class_name]


class Predictor:
    """A trained network with the preprocessing that it was trained with; of several, the mean probability.

    Args:
        checkpoint: A checkpoint file, a run folder, "latest", or a list of such.
        preprocess: "auto" brings photographed and drawn digits to MNIST's form, for networks that were
            trained on such; "none" only fits the size.
        accelerator: "cpu", "gpu", or "auto" for a GPU where there is one.
        fuse_bn: Whether batch normalisation is folded into the convolutions; see `models.folding`.

    Raises:
        FileNotFoundError: there is no checkpoint.
        InputError: it cannot be used, or there is no GPU.
    """

    def __init__(
        self,
        checkpoint: str | Path | Sequence[str | Path],
        preprocess: str = "auto",
        accelerator: str = "cpu",
        fuse_bn: bool = True,
    ) -> None:
        self._ensemble = Ensemble(find_checkpoints(checkpoint), pick_device(accelerator), fuse_bn)
        self.classes = self._ensemble.classes
        self._data = self._ensemble.data[0]
        self.largest_side: int = self._ensemble.largest_side
        self._prepares_digits = preprocess == "auto" and self._data["mnist_style"]

    def __call__(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Classify images of any size and mode, as one batch."""
        return self.classify([self.prepare(image) for image in images])

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Bring a image to the form in which the data set's images are read.

        Returns:
            uint8, shape (channels, side, side).
        """
        size = self._data["native_size"]
        image = to_gray_or_rgb(image)
        if self._prepares_digits:
            pixels = prepare_digit(image)
            if pixels.shape == (size, size) and self._ensemble.channels == 1:
                return pixels[None]
            image = Image.fromarray(pixels)
        return resize_to_square(image, size, self._ensemble.channels, self._data["fit"])

    def classify(self, pixels: Sequence[np.ndarray]) -> list[Prediction]:
        """Name images that `prepare` has brought to their form."""
        if not pixels:
            return []
        probabilities = self.probabilities(torch.from_numpy(np.stack(pixels))).tolist()
        return [
            Prediction(self.classes[int(np.argmax(row))], dict(zip(self.classes, row, strict=True)))
            for row in probabilities
        ]

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of a batch as read.

        Args:
            images: uint8, shape (N, 1 or 3, H, W).

        Returns:
            float32, shape (N, number of classes), on the CPU.
        """
        return self._ensemble(images).softmax(dim=1).cpu()

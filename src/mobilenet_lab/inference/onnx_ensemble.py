"""Trained networks in ONNX files, which need neither PyTorch nor a GPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet_lab.inference.classifier import MAX_BATCH_PIXELS
from mobilenet_lab.inference.model_metadata import ModelMetadata
from mobilenet_lab.inference.onnx_session import OnnxSession
from mobilenet_lab.runtime.errors import InputError

TOLERANCE = 1e-3  # by which probabilities may be outside of [0, 1]
SUM_TOLERANCE = 0.05  # by which their sum may differ from 1, for files that round them to 8 bits


class OnnxEnsemble:
    """One or several networks that export.py has written; see `Classifier`.

    Args:
        paths: ONNX files. They may be untrusted.

    Attributes:
        paths: The files.
        classes: Class names, indexed by label.
        data: The data set of each network; see `ImageDataModule.describe`.
        channels: Channels of the images that the networks take.
        visible_side: See `Classifier`.

    Raises:
        InputError: A file cannot be used, the files do not go together, or onnxruntime is not installed.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.data: list[dict[str, Any]] = []
        self._members: list[OnnxSession] = []
        self._largest_side = self.visible_side = 0
        for path in paths:
            self._add(path)

    def _add(self, path: Path) -> None:
        member = OnnxSession(path)
        metadata = ModelMetadata.from_texts(member.metadata, str(path))
        classes, data = metadata.classes, metadata.data
        channels, *sides = member.image_shape
        if channels not in (1, 3) or sides != [data["native_size"]] * 2 or member.num_classes != len(classes):
            raise InputError(
                f"{path}: has shape {member.image_shape} for images and {member.num_classes} probabilities, "
                "which do not fit its metadata; export it again with export.py"
            )
        reading = (data["native_size"], data["fit"], data["mnist_style"], channels)
        if not self._members:
            self._reading = reading
            self.classes, self.channels = classes, channels
        elif (classes, reading) != (self.classes, self._reading):
            raise InputError(
                f"{path}: has other classes or another image format than {self.paths[0]}; use networks "
                "that were trained on the same data"
            )
        self._members.append(member)
        self.data.append(data)
        side, image_size = data["native_size"], metadata.preprocessing["image_size"]
        self._largest_side = max(self._largest_side, side, image_size)
        self.visible_side = max(self.visible_side, metadata.visible_side)

    @property
    def max_batch(self) -> int:
        """Largest number of images to classify as one batch; see `Classifier.max_batch`."""
        return max(1, MAX_BATCH_PIXELS // self._largest_side**2)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of each class; see `Classifier.probabilities`.

        An image for which a network computes NaN or infinity gets NaN for all. Grayscale images are repeated
        for networks with three channels, as `Preprocessing` does.

        Raises:
            InputError: The images have another shape than those that the networks take, or a network fails
                or answers with something else than probabilities.
        """
        if images.shape[1] == 1 < self.channels:
            images = images.repeat(self.channels, axis=1)
        shape = self._members[0].image_shape
        if images.shape[1:] != shape:
            raise InputError(
                f"ckpt={self.paths[0].name}: takes images of shape {shape}, not {images.shape[1:]}; "
                "use the data it was trained on, or a checkpoint"
            )
        answers = [_checked(member(images), member.path) for member in self._members]
        return answers[0] if len(answers) == 1 else np.mean(answers, axis=0)


def _checked(probabilities: np.ndarray, path: Path) -> np.ndarray:
    """Return probabilities with NaN in the rows that are not finite.

    Raises:
        InputError: Other rows are not probabilities.
    """
    is_finite = np.isfinite(probabilities).all(axis=1, keepdims=True)
    values = probabilities[is_finite[:, 0]]
    beyond, sums = np.abs(values - 0.5) > 0.5 + TOLERANCE, values.sum(axis=1)
    if beyond.any() or np.any(np.abs(sums - 1) > SUM_TOLERANCE):
        raise InputError(f"{path}: answers with something else than probabilities; export it with export.py")
    return np.where(is_finite, probabilities, np.float32(np.nan))

"""Classify images with a checkpoint and the preprocessing it was trained with."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mobilenet_lab.checkpoints.locate import find_checkpoints
from mobilenet_lab.data.images import resize_to_square
from mobilenet_lab.data.transforms.mnist_style import NO_DIGIT, prepare_digit
from mobilenet_lab.inference.classifier import Classifier, open_classifier
from mobilenet_lab.inference.image_inputs import ImageInput, open_inputs
from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from mobilenet_lab.inference.explain import Explainer

NOT_FINITE = "the network computes NaN or infinity for it; use another checkpoint"


@dataclass(frozen=True)
class Prepared:
    """An image in the format in which images of the data set are read.

    Attributes:
        pixels: uint8, shape (channels, side, side).
        problem: What the preprocessing found instead of one digit: "no digit", "several digits", or None.
    """

    pixels: np.ndarray
    problem: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The classification of one image.

    Attributes:
        class_name: The most likely class; None if the image has nothing to classify.
        probabilities: Probability of every class, in the order of labels; they add up to 1. Empty without a
            class.
        note: Why not to rely on the answer: "no digit found", "several digits found", "low confidence", or
            the last two; None without a reason.
    """

    class_name: str | None
    probabilities: dict[str, float]
    note: str | None = None

    @property
    def confidence(self) -> float:
        """Probability of the most likely class; 0 without a class."""
        return 0.0 if self.class_name is None else self.probabilities[self.class_name]

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the k most likely classes and their probabilities, best first; none without a class."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]

    @property
    def is_finite(self) -> bool:
        """False if the network computes NaN or infinity for the image, so that there is no answer."""
        return math.isfinite(self.confidence)  # softmax makes all probabilities NaN then


class Predictor:
    """Classifies images. Several networks answer with their mean probability.

    Args:
        checkpoint: A checkpoint file, a run folder, "latest", "imagenet" for torchvision's weights, a list of
            these, or a `Classifier`.
        preprocess: "auto" converts photos and drawings of digits to MNIST's style, for networks that were
            trained on such images; "none" only resizes.
        accelerator: "cpu", "gpu", or "auto" for a GPU if there is one. A `Classifier` keeps its device.
        fuse_bn: Whether to fuse batch normalization into convolutions; see `models.fuse`. A `Classifier`
            stays as it is.
        min_confidence: Confidence below which the note of a prediction is "low confidence". None is halfway
            between chance and certainty: 0.75 for 2 classes, 0.55 for 10 and 0.5005 for 1,000.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        InputError: The checkpoint cannot be used, or there is no GPU.
    """

    def __init__(
        self,
        checkpoint: str | Path | Sequence[str | Path] | Classifier,
        preprocess: str = "auto",
        accelerator: str = "cpu",
        fuse_bn: bool = True,
        min_confidence: float | None = None,
    ) -> None:
        if not isinstance(checkpoint, Classifier):
            checkpoint = open_classifier(find_checkpoints(checkpoint), accelerator, fuse_bn)
        self._ensemble = checkpoint
        self._data = checkpoint.data[0]
        self._prepares_digits = preprocess == "auto" and self._data["mnist_style"]
        self.classes = checkpoint.classes
        halfway = (1 + 1 / len(self.classes)) / 2
        self.min_confidence = halfway if min_confidence is None else min_confidence

    @property
    def max_batch(self) -> int:
        """Largest number of images to classify as one batch; see `Classifier.max_batch`."""
        return self._ensemble.max_batch

    @property
    def decode_size(self) -> int | None:
        """Size for which files are decoded, see `images.load_image`; None for photos of digits, in full."""
        return None if self._prepares_digits else self._data["native_size"]

    @property
    def visible_side(self) -> int:
        """Side of the centered square of an image that the networks see; see `Classifier`."""
        return self._ensemble.visible_side

    def __call__(self, images: ImageInput | Sequence[ImageInput]) -> list[Prediction]:
        """Classify images of any size, mode and orientation, as one batch.

        Args:
            images: Paths, PIL images, or NumPy arrays of shape (H, W) or (H, W, C) with 1, 3 or 4 channels;
                one array of shape (N, H, W) or (N, H, W, C); or a single image. The values of an
                array are in [0, 1] or [0, 255], or have up to 16 bits.

        Raises:
            InputError: A file cannot be read, an input is not an image, or the network computes NaN or
                infinity.
        """
        predictions = self.classify([self.prepare(image) for image in open_inputs(images, self.decode_size)])
        for i, prediction in enumerate(predictions):
            if not prediction.is_finite:
                raise InputError(f"images[{i}]: {NOT_FINITE}")
        return predictions

    def prepare(self, image: Image.Image) -> Prepared:
        """Convert an image to the format in which images of the data set are read.

        Args:
            image: Upright, mode "L" or "RGB", as `load_image` returns it.
        """
        size, problem = self._data["native_size"], None
        if self._prepares_digits:
            digit = prepare_digit(image)
            problem = digit.problem
            if digit.pixels.shape == (size, size) and self._ensemble.channels == 1:
                return Prepared(digit.pixels[None], problem)
            image = Image.fromarray(digit.pixels)
        return Prepared(resize_to_square(image, size, self._ensemble.channels, self._data["fit"]), problem)

    def classify(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """Classify images that `prepare` has converted, as one batch."""
        shown = [one.pixels for one in prepared if one.problem != NO_DIGIT]
        answers: Iterator[tuple[int, list[float]]] = iter(())
        if shown:
            rows = self.probabilities(np.stack(shown))
            answers = zip(rows.argmax(axis=1).tolist(), rows.tolist(), strict=True)
        return [
            Prediction(None, {}, _note(one.problem))
            if one.problem == NO_DIGIT
            else self._prediction(*next(answers), one.problem)
            for one in prepared
        ]

    def _prediction(self, label: int, probabilities: list[float], problem: str | None) -> Prediction:
        named = dict(zip(self.classes, probabilities, strict=True))
        return Prediction(
            self.classes[label], named, _note(problem, probabilities[label] < self.min_confidence)
        )

    def explain(self, images: ImageInput | Sequence[ImageInput]) -> list[np.ndarray | None]:
        """Return where in each image the networks find their answer.

        Args:
            images: The same inputs as for a call.

        Returns:
            A map per image, float32 in [0, 1], of the size of the image that `prepare` returns; None for an
            image without a class. `inference.explain` describes the maps.

        Raises:
            InputError: An image cannot be classified, or a network has no spatial feature map.
        """
        prepared = [self.prepare(image) for image in open_inputs(images, self.decode_size)]
        answers = self.classify(prepared)
        labels = {name: label for label, name in enumerate(self.classes)}
        wanted = {i: labels[one.class_name] for i, one in enumerate(answers) if one.class_name is not None}
        if not wanted:
            return [None] * len(prepared)
        found = self.explainer()(np.stack([prepared[i].pixels for i in wanted]), list(wanted.values()))
        maps = dict(zip(wanted, found, strict=True))
        return [maps.get(i) for i in range(len(prepared))]

    def explainer(self) -> "Explainer":
        """Return a function of pixels and labels that returns maps of the evidence.

        Raises:
            InputError: The networks are ONNX files, which have no gradients.
        """
        from mobilenet_lab.inference.ensemble import Ensemble
        from mobilenet_lab.inference.explain import Explainer

        if not isinstance(self._ensemble, Ensemble):
            raise InputError("explain: needs checkpoints, because ONNX files have no gradients")
        return Explainer(self._ensemble)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of each class.

        Args:
            images: uint8, shape (N, 1 or 3, H, W), in the format of the data set.

        Returns:
            float32, shape (N, num_classes).
        """
        return self._ensemble.probabilities(images)


def _note(problem: str | None, is_low: bool = False) -> str | None:
    if problem is None and not is_low:
        return None
    parts = [f"{problem} found"] if problem else []
    return ", ".join(parts + ["low confidence"] * is_low) or None

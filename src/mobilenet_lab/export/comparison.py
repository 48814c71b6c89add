"""Compare an exported file with its checkpoint."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mobilenet_lab.export.images import LabeledBatch, with_channels
from mobilenet_lab.export.runtimes import Run
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.runtime.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """Answers of an export and of the checkpoint to the same images.

    Attributes:
        images: Number of images.
        reference_accuracy: Accuracy of the checkpoint, in [0, 1]; None for images without labels.
        accuracy: Accuracy of the export, in [0, 1]; None for images without labels.
        largest_difference: Of a probability; NaN if the export computes NaN.
        same_answers: Fraction of images that both assign to the same class.
    """

    images: int
    reference_accuracy: float | None
    accuracy: float | None
    largest_difference: float
    same_answers: float

    def check(self, name: str, tolerance: float, max_accuracy_loss: float) -> None:
        """Refuse an export that does not do what the checkpoint does.

        Args:
            name: The format.
            tolerance: Allowed difference of a probability; infinite for a quantized network.
            max_accuracy_loss: Allowed loss of accuracy, if there are labels.

        Raises:
            InputError: The difference is larger or NaN, or the loss is larger.
        """
        if not self.largest_difference <= tolerance:
            raise InputError(
                f"format={name}: a probability differs from the checkpoint's by "
                f"{self.largest_difference:.2g}, more than tolerance={tolerance:g}; no file was written"
            )
        if self.accuracy is None or self.reference_accuracy is None:
            return
        if self.reference_accuracy - self.accuracy > max_accuracy_loss:
            raise InputError(
                f"format={name}: accuracy falls from {self.reference_accuracy:.4f} to {self.accuracy:.4f}, "
                f"more than max_accuracy_loss={max_accuracy_loss:g}; raise calibration_images or use "
                "format=onnx; no file was written"
            )


def compare(checkpoint: Ensemble, export: Run, channels: int, batches: Iterable[LabeledBatch]) -> Comparison:
    """Let a checkpoint and its export classify the same images.

    Args:
        checkpoint: The networks as evaluate.py runs them.
        export: The exported file in its runtime.
        channels: Channels of the images that the export takes.
        batches: At least one.

    Raises:
        InputError: The checkpoint computes NaN or infinity.
    """
    correct, differences = np.zeros(3, np.int64), []  # correct: checkpoint, export, both the same
    count, has_labels = 0, True
    for images, labels in batches:
        expected = checkpoint(images).softmax(dim=1).numpy()
        found = export(with_channels(images, channels).numpy())
        if not np.isfinite(expected).all():
            raise InputError("ckpt: the network computes NaN or infinity for some images; use another one")
        differences.append(np.abs(found - expected).max())
        answers = expected.argmax(axis=1), found.argmax(axis=1)
        truth = answers if labels is None else (labels.numpy(),) * 2
        correct += [
            (answers[0] == truth[0]).sum(),
            (answers[1] == truth[1]).sum(),
            (answers[0] == answers[1]).sum(),
        ]
        count, has_labels = count + len(images), labels is not None
    reference, accuracy, same = (correct / count).tolist()
    return Comparison(
        images=count,
        reference_accuracy=reference if has_labels else None,
        accuracy=accuracy if has_labels else None,
        largest_difference=float(np.max(differences)),
        same_answers=same,
    )

"""How a network did on the images of a subset: what dashboards and reports show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Accuracy as a function of confidence, in bins of equal width over [0, 1].

    Attributes:
        counts: Images per bin, int64, shape (bins,).
        confidence_sums: Sum of the confidences per bin, float64, shape (bins,).
        correct: Correct predictions per bin, int64, shape (bins,).
    """

    counts: np.ndarray
    confidence_sums: np.ndarray
    correct: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al. 2017, arXiv:1706.04599), in [0, 1]."""
        gaps = np.abs(self.confidence_sums - self.correct)  # times the count of the bin
        return float(gaps.sum() / max(1, self.counts.sum()))


@dataclass(frozen=True)
class Mistake:
    """A misclassified image.

    Attributes:
        image: As the network saw it, without normalization: uint8, shape (H, W) or (H, W, 3).
        label: The true class.
        prediction: The predicted class.
        confidence: Probability of the predicted class.
    """

    image: np.ndarray
    label: int
    prediction: int
    confidence: float


@dataclass(frozen=True)
class Quality:
    """Statistics of the predictions for the images of a subset.

    Attributes:
        classes: Class names, by label.
        confusion: Counts, int64, shape (C, C); a row per true class, a column per predicted class.
        calibration: Accuracy by confidence.
        mistakes: The misclassified images of the highest confidence, most confident first.
    """

    classes: Sequence[str]
    confusion: np.ndarray
    calibration: Calibration
    mistakes: Sequence[Mistake]

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are classified correctly."""
        return float(self.confusion.trace() / max(1, self.confusion.sum()))

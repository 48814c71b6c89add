"""How a network did on the images of a subset: what dashboards and reports show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_CELLS = 1000  # rows of a confusion matrix that is shown as an image


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
class ScoreHistograms:
    """Histograms of predicted probabilities, from which precision-recall curves are computed.

    The bins have equal width over [0, 1), and the last one holds only the probability 1. With many classes,
    only the first ones are counted.

    Attributes:
        positives: Images of each class by their probability of that class, int64, shape (classes, bins).
        negatives: Images of other classes by their probability of that class, int64, shape (classes, bins).
    """

    positives: np.ndarray
    negatives: np.ndarray

    def curve(self, label: int) -> np.ndarray:
        """Return the precision-recall curve of a class.

        Returns:
            True positives, false positives, true negatives, false negatives, precision and recall, as rows;
            a column per threshold, from 0 to 1. Shape (6, bins), float64.
        """
        true_positives = self.positives[label][::-1].cumsum()[::-1].astype(np.float64)
        false_positives = self.negatives[label][::-1].cumsum()[::-1].astype(np.float64)
        false_negatives = true_positives[0] - true_positives
        true_negatives = false_positives[0] - false_positives
        precision = true_positives / np.maximum(1, true_positives + false_positives)
        recall = true_positives / max(1, true_positives[0])
        return np.stack([true_positives, false_positives, true_negatives, false_negatives, precision, recall])


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
        scores: Histograms of the predicted probabilities; None if they have not been counted.
    """

    classes: Sequence[str]
    confusion: np.ndarray
    calibration: Calibration
    mistakes: Sequence[Mistake]
    scores: ScoreHistograms | None = None

    @property
    def class_accuracies(self) -> np.ndarray:
        """Fraction of each class's images that are classified correctly; NaN for a class without images."""
        counts = self.confusion.sum(axis=1)
        return np.where(counts > 0, self.confusion.diagonal() / np.maximum(1, counts), np.nan)


def reduce_cells(confusion: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """Combine the cells of neighboring classes, so that a matrix has at most `MAX_CELLS` rows.

    Args:
        confusion: Shape (C, C).
        combine: Combines two cells, for example `np.add`.
    """
    starts = np.arange(0, len(confusion), -(-len(confusion) // MAX_CELLS))
    reduced: np.ndarray = combine.reduceat(combine.reduceat(confusion, starts, axis=0), starts, axis=1)
    return reduced

"""What a report says about classes: accuracies, confusions and the confusion matrix."""

from dataclasses import dataclass

import numpy as np

from mobilenet_lab.reports.images import confusion_url
from mobilenet_lab.runs.quality import Quality

MAX_LISTED_CLASSES = 100  # more make the table long; those of the lowest accuracy are listed
MAX_TABLE_CLASSES = 20  # more have no room for counts in the confusion matrix
MAX_IMAGE_CLASSES = 4096  # more would take long and much memory
MAX_PAIRS = 20
HEADER_COLUMNS = 3  # longer class names are rotated above their columns


@dataclass(frozen=True)
class ClassRow:
    """A class in the table of classes.

    Attributes:
        name: Its name.
        count: Number of its images.
        accuracy: Fraction that is classified correctly; None without images.
        confused_with: The most frequent wrong prediction; None if there is none.
        confused_count: How often it is predicted.
    """

    name: str
    count: int
    accuracy: float | None
    confused_with: str | None
    confused_count: int


@dataclass(frozen=True)
class Pair:
    """A class that is taken for another one.

    Attributes:
        label: The true class.
        prediction: The predicted class.
        count: Number of images.
        fraction: Fraction of the images of the true class.
    """

    label: str
    prediction: str
    count: int
    fraction: float


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix.

    Attributes:
        count: Number of images.
        is_correct: Whether it lies on the diagonal.
        shade: Strength of its color, in [0, 1].
    """

    count: int
    is_correct: bool
    shade: float


def class_rows(quality: Quality) -> list[ClassRow]:
    """Return the classes in the order of their labels, or of many classes the worst ones."""
    counts, accuracies = quality.confusion.sum(axis=1), quality.class_accuracies
    order = np.arange(len(counts))
    if len(counts) > MAX_LISTED_CLASSES:
        order = np.lexsort((-counts, accuracies))[:MAX_LISTED_CLASSES]  # NaN, without images, is last
    return [_class_row(quality, int(label), int(counts[label]), float(accuracies[label])) for label in order]


def _class_row(quality: Quality, label: int, count: int, accuracy: float) -> ClassRow:
    errors = quality.confusion[label].copy()
    errors[label] = 0
    worst = int(errors.argmax())
    confused = int(errors[worst])
    return ClassRow(
        name=quality.classes[label],
        count=count,
        accuracy=accuracy if count else None,
        confused_with=quality.classes[worst] if confused else None,
        confused_count=confused,
    )


def frequent_pairs(quality: Quality) -> list[Pair]:
    """Return the most frequent confusions, most frequent first."""
    confusion = quality.confusion
    totals = confusion.sum(axis=1)
    labels, predictions = np.nonzero(confusion)
    is_error = labels != predictions
    labels, predictions = labels[is_error], predictions[is_error]
    order = np.argsort(-confusion[labels, predictions], kind="stable")[:MAX_PAIRS]
    return [
        Pair(
            label=quality.classes[label],
            prediction=quality.classes[prediction],
            count=int(confusion[label, prediction]),
            fraction=float(confusion[label, prediction] / totals[label]),
        )
        for label, prediction in zip(labels[order], predictions[order], strict=True)
    ]


def confusion_cells(quality: Quality) -> list[list[Cell]] | None:
    """Return the rows of the confusion matrix; None if it has too many classes for a table.

    The shade of a correct cell is its fraction of the true class; that of an error is relative to the
    largest fraction among errors.
    """
    confusion = quality.confusion
    size = len(confusion)
    if size > MAX_TABLE_CLASSES:
        return None
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    is_correct = np.eye(size, dtype=bool)
    largest = np.where(is_correct, 0, fractions).max(initial=0) or 1
    shades = np.where(is_correct, fractions, fractions / largest)
    return [
        [
            Cell(int(confusion[row, column]), row == column, round(float(shades[row, column]), 3))
            for column in range(size)
        ]
        for row in range(size)
    ]


def confusion_image(quality: Quality) -> str | None:
    """Return the confusion matrix of many classes as an image; None if it has too many even for that."""
    return confusion_url(quality.confusion) if len(quality.confusion) <= MAX_IMAGE_CLASSES else None

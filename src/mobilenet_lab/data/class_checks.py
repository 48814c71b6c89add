"""Check the classes of a data set before training: are there enough, and are they in every subset?"""

import logging
from collections.abc import Mapping, Sequence

from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.data.datasets.base import DatasetSource
from mobilenet_lab.data.splits import STAGES, Subset
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
NUM_NAMED = 5  # classes that a warning names
EFFECTS = {
    "train": "the network cannot learn them",
    "val": "val/accuracy leaves them out",
    "test": "test/accuracy leaves them out",
}


def checked_classes(source: DatasetSource) -> list[str]:
    """Return the class names of a data set.

    Raises:
        InputError: There are fewer than two classes, or a name cannot be used.
    """
    classes = source.classes
    if len(classes) < 2:
        raise InputError(f"data={source.name}: has {len(classes)} class; a classifier needs at least two")
    check_class_names(classes, f"data={source.name}")
    return classes


def warn_of_missing_classes(subsets: Mapping[str, Subset], classes: Sequence[str]) -> None:
    """Warn for every subset with images that has none of some classes."""
    for name, subset in subsets.items():
        counts = subset.count_classes(len(classes)) if len(subset) else []
        missing = [label for label, count in enumerate(counts) if not count]
        if missing:
            named = ", ".join(printable(classes[label]) for label in missing[:NUM_NAMED])
            log.warning(
                "data: %d of %d classes without %s images, so %s: %s%s",
                len(missing),
                len(classes),
                STAGES[name],
                EFFECTS[name],
                named,
                ", ..." if len(missing) > NUM_NAMED else "",
            )

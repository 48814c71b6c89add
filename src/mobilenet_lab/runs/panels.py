"""What a task shows on a dashboard, as plain values: the task makes it, a callback writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Panels:
    """Panels of a dashboard that belong to one step.

    Attributes:
        images: uint8, shape (H, W) or (H, W, 3), by tag.
        curves: Precision-recall curves as in `runs.quality.ScoreHistograms.curve`, by tag.
    """

    images: Mapping[str, np.ndarray] = field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)

"""Learning-rate range test: record the loss while the learning rate rises from step to step."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from mobilenet_lab.callbacks.current_lr import CurrentLRMixin
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.plots import plot_range_test, save_plot

log = logging.getLogger(__name__)

NOISE = 0.9  # a loss that stays above this fraction of the first loss has not fallen
FALLEN = 0.9  # fraction of the whole fall of the loss that is reached at the suggested rate


@dataclass(frozen=True)
class LRFinderResult:
    """The result of a range test.

    Attributes:
        rates: Learning rate of each step.
        losses: Smoothed loss of each step.
        suggestion: A peak learning rate for a schedule; None if the loss did not fall.
        has_exploded: Whether the loss became so large that the test ended.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float | None
    has_exploded: bool


def suggest(
    rates: Sequence[float], losses: Sequence[float], smoothing: float, stop_factor: float
) -> LRFinderResult:
    """Evaluate a range test.

    The suggestion is the first rate at which the loss has done nine tenths of its fall. The lowest loss may
    lie anywhere on a flat stretch. The steepest descent, which Lightning's finder uses, favors the smallest
    rates.

    Args:
        rates: Learning rate of each step, rising.
        losses: Loss of each step.
        smoothing: Weight of the earlier losses in their moving average, in [0, 1).
        stop_factor: The test ends where the average exceeds its minimum by this factor.
    """
    average, lowest, has_exploded = 0.0, math.inf, False
    smooth: list[float] = []
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            has_exploded = True
            break
        average = smoothing * average + (1 - smoothing) * loss
        smooth.append(average / (1 - smoothing ** (step + 1)))  # corrects the bias toward the initial 0
        lowest = min(lowest, smooth[-1])
        if smooth[-1] > stop_factor * lowest:
            has_exploded = True
            break
    suggestion = None
    if smooth and lowest < NOISE * smooth[0]:
        enough = smooth[0] - FALLEN * (smooth[0] - lowest)
        suggestion = next(rate for rate, loss in zip(rates, smooth, strict=False) if loss <= enough)
    return LRFinderResult(list(rates[: len(smooth)]), smooth, suggestion, has_exploded)


class LearningRateFinder(CurrentLRMixin):
    """Records rate and loss of every step, stops when the loss explodes, and plots and suggests a rate.

    Args:
        folder: The run folder, for the plot.
        smoothing: See `suggest`.
        stop_factor: See `suggest`.
    """

    def __init__(self, folder: str, smoothing: float, stop_factor: float) -> None:
        self._plot = RunFolder(Path(folder)).lr_find
        self.smoothing = smoothing
        self.stop_factor = stop_factor
        self._rates: list[float] = []
        self._losses: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the mean loss of all ranks."""
        loss: Tensor = outputs["loss"] if isinstance(outputs, dict) else outputs
        value = float(trainer.strategy.reduce(loss.detach().clone(), reduce_op="mean"))
        self._rates.append(self.rate)
        self._losses.append(value)
        if self.result().has_exploded:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Plot the losses and log the suggestion."""
        if not trainer.is_global_zero or not self._losses:
            return
        result = self.result()
        save_plot(plot_range_test(result.rates, result.losses, result.suggestion), self._plot)
        log.info("plot      %s", self._plot)
        if result.suggestion is None:
            log.warning("the loss did not fall; lower optimizer.lr, the last and largest rate of the test")
        else:
            log.info("suggested optimizer.lr=%.2g", result.suggestion)

    def result(self) -> LRFinderResult:
        """Return the result of the steps so far."""
        return suggest(self._rates, self._losses, self.smoothing, self.stop_factor)

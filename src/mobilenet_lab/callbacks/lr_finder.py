"""A learning-rate range test: the loss while the rate rises from step to step."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from mobilenet_lab.callbacks.current_lr import CurrentLRMixin
from mobilenet_lab.runs.plots import plot_range_test, save_plot

log = logging.getLogger(__name__)
NOISE = 0.9  # a loss that never came below this share of the first has not fallen
FALLEN = 0.9  # share of the loss's whole fall that is done at the suggested rate


@dataclass(frozen=True)
class LRFinderResult:
    """What a range test tells.

    Attributes:
        rates, losses: Of each step, the losses smoothed.
        suggestion: A learning rate for the top of a schedule; None where the loss did not fall.
        has_exploded: Whether the test ended because the loss had become too large.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float | None
    has_exploded: bool


def suggest(
    rates: Sequence[float], losses: Sequence[float], smoothing: float, stop_factor: float
) -> LRFinderResult:
    """Read a range test.

    The suggestion is the first rate at which the loss has done nine tenths of its fall. The lowest itself
    may lie anywhere on a flat stretch, and the steepest descent over the rate, which Lightning's finder
    takes, favours the smallest rates of all.

    Args:
        rates: Of each step, rising.
        losses: Of each step.
        smoothing: Weight of the losses before in their moving average, in [0, 1).
        stop_factor: Where the average exceeds its lowest so many times, the rest is left out.
    """
    average, lowest, has_exploded = 0.0, math.inf, False
    smooth: list[float] = []
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            has_exploded = True
            break
        average = smoothing * average + (1 - smoothing) * loss
        smooth.append(average / (1 - smoothing ** (step + 1)))  # as if it had begun at the first loss
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
    """Notes rate and loss of every step, ends once the loss explodes, draws both and suggests a rate.

    Args:
        image: Where to draw.
        smoothing, stop_factor: See `suggest`.
    """

    def __init__(self, image: str, smoothing: float, stop_factor: float) -> None:
        self.image = Path(image)
        self.smoothing = smoothing
        self.stop_factor = stop_factor
        self._rates: list[float] = []
        self._losses: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step's loss, of all ranks."""
        loss: Tensor = outputs["loss"] if isinstance(outputs, dict) else outputs
        value = float(trainer.strategy.reduce(loss.detach().clone(), reduce_op="mean"))
        self._rates.append(self.rate)
        self._losses.append(value)
        if self._finding().has_exploded:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw and suggest."""
        if not trainer.is_global_zero or not self._losses:
            return
        finding = self._finding()
        save_plot(plot_range_test(finding.rates, finding.losses, finding.suggestion), self.image)
        log.info("image   %s", self.image)
        if finding.suggestion is None:
            log.warning("The loss did not fall: begin with a smaller rate, optimizer.lr=... is the last")
        else:
            log.info("suggested optimizer.lr=%.2g", finding.suggestion)

    def _finding(self) -> LRFinderResult:
        return suggest(self._rates, self._losses, self.smoothing, self.stop_factor)

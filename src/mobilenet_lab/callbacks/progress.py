"""Show progress: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from mobilenet_lab.callbacks.epoch_lines import EpochLines, epoch_name
from mobilenet_lab.callbacks.run_clock import as_duration
from mobilenet_lab.callbacks.terminal_progress import TerminalProgress
from mobilenet_lab.runtime.terminal import terminal_columns

MIN_COLUMNS = 20  # a narrower bar has no room for its numbers


def progress_bar(refresh_every_n_seconds: float, log_every_n_seconds: float) -> ProgressBar:
    """Return a progress bar if standard output is a terminal with room for one, and plain lines otherwise.

    Args:
        refresh_every_n_seconds: Seconds between updates of the bar.
        log_every_n_seconds: Seconds between lines.
    """
    can_return = os.environ.get("TERM") != "dumb"  # to the start of a line, to draw the bar again
    if can_return and terminal_columns(sys.stdout) >= MIN_COLUMNS:
        return TerminalProgress(refresh_every_n_seconds)
    return PlainProgress(log_every_n_seconds)


class PlainProgress(EpochLines):
    """Prints a line every few seconds and one per epoch."""

    def __init__(self, log_every_n_seconds: float) -> None:
        super().__init__()
        self.log_every_n_seconds = log_every_n_seconds
        self._line_at: float | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the previous epoch, and wait for the first line of this one."""
        super().on_train_epoch_start(trainer, pl_module)
        self._line_at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line if the previous one is old enough."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        now = time.perf_counter()
        is_early = self._line_at is not None and now - self._line_at < self.log_every_n_seconds
        if is_early or not self.is_enabled:
            return
        self._line_at = now
        parts = [f"loss {float(outputs['loss']):.3f}"]
        if speed := self.images_per_second(trainer):
            parts.append(f"{speed:,.0f} images/s")
        if (left := self.clock.seconds_left(trainer)) is not None:
            parts.append(f"{as_duration(left)} left")
        step = f"step {batch_idx + 1:,} of {self.last_batch_of_epoch(trainer):,}"
        self.print(f"{epoch_name(trainer, trainer.current_epoch + 1)}, {step}: {', '.join(parts)}")

"""Show progress: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from torch import Tensor

from mobilenet_lab.callbacks.max_steps import steps_left
from mobilenet_lab.runtime.terminal import terminal_columns

MIN_COLUMNS = 20  # a narrower bar has no room for its numbers


def progress_bar(refresh_rate: int, log_every_n_seconds: float) -> ProgressBar:
    """Return a progress bar if standard output is a terminal with room for one, and plain lines otherwise.

    Args:
        refresh_rate: Batches between updates of the bar.
        log_every_n_seconds: Seconds between lines.
    """
    if terminal_columns(sys.stdout) >= MIN_COLUMNS:
        return TerminalProgress(refresh_rate=refresh_rate, leave=True)
    return PlainProgress(log_every_n_seconds)


class TerminalProgress(TQDMProgressBar):
    """Lightning's bar, with epochs counted from 1 and the loss, which is read only when the bar is drawn."""

    _loss: Tensor | None = None

    def on_train_epoch_start(self, trainer: Trainer, *arguments: Any) -> None:
        """Start the bar of the epoch."""
        super().on_train_epoch_start(trainer, *arguments)
        self.train_progress_bar.set_description(_epoch(trainer, trainer.current_epoch + 1))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss until the bar is drawn."""
        self._loss = outputs["loss"]
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return the values next to the bar."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics if self._loss is None else {"loss": f"{float(self._loss):.3f}", **metrics}


class PlainProgress(ProgressBar):
    """Prints a line every few seconds and one per epoch."""

    def __init__(self, log_every_n_seconds: float) -> None:
        super().__init__()
        self.log_every_n_seconds = log_every_n_seconds
        self._enabled = True
        self._line_at = self._began_at = 0.0
        self._first_batch: int | None = None
        self._validated = False

    def disable(self) -> None:
        """Print nothing, as on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the previous epoch, whose metrics are complete only now."""
        self._print_epoch(trainer, trainer.current_epoch)
        self._first_batch = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock at the first batch, which after a mid-epoch resume is not batch 0."""
        if self._first_batch is None:
            self._first_batch = batch_idx
            self._line_at = self._began_at = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the epoch has been validated."""
        self._validated = not trainer.sanity_checking

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the last epoch."""
        self._print_epoch(trainer, trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line if the previous one is old enough."""
        now = time.perf_counter()
        if not self._enabled or now - self._line_at < self.log_every_n_seconds:
            return
        self._line_at = now
        done = batch_idx + 1
        total = int(trainer.num_training_batches)
        if (steps := steps_left(trainer)) < math.inf:
            total = min(total, done + int(steps) * trainer.accumulate_grad_batches)
        steps_per_s = (done - (self._first_batch or 0)) / (now - self._began_at)
        print(
            f"{_epoch(trainer, trainer.current_epoch + 1)}, step {done:,} of {total:,}: "
            f"loss {float(outputs['loss']):.3f}, {steps_per_s:.1f} steps/s, "
            f"{(total - done) / steps_per_s:.0f} s left in this epoch",
            flush=True,
        )

    def _print_epoch(self, trainer: Trainer, epoch: int) -> None:
        metrics = trainer.callback_metrics
        parts = [
            f"{stage} accuracy {float(metrics[key]):.4f}, loss {float(metrics[f'{stage}/loss']):.4f}"
            for stage in (("train", "val") if self._validated else ("train",))
            if (key := f"{stage}/accuracy") in metrics
        ]
        if self._enabled and parts:
            print(f"{_epoch(trainer, epoch)}: {'; '.join(parts)}", flush=True)
        self._validated = False


def _epoch(trainer: Trainer, number: int) -> str:
    """Return the number of an epoch, counted from 1, and the number of epochs if there is a limit."""
    known = trainer.max_epochs is not None and trainer.max_epochs > 0
    return f"epoch {number} of {trainer.max_epochs}" if known else f"epoch {number}"

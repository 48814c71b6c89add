"""A progress bar on a terminal: one line that is drawn again and again."""

import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from mobilenet_lab.callbacks.current_lr import CurrentLRMixin
from mobilenet_lab.callbacks.epoch_lines import EpochLines, epoch_name
from mobilenet_lab.callbacks.run_clock import as_duration
from mobilenet_lab.runtime.terminal import terminal_columns

MIN_BAR, MAX_BAR = 6, 40  # columns
BLOCKS, PLAIN = "━─", "#."  # done and left; the second for terminals without UTF-8
ERASE_REST = "\x1b[K"  # of the line (ECMA-48)


def render(columns: int, task: str, fraction: float, values: Sequence[str], blocks: str = BLOCKS) -> str:
    """Return the line of a bar.

    Args:
        columns: Width of the terminal. The line is narrower, so that the cursor stays in it.
        task: What is going on, such as "epoch 1/3".
        fraction: Part of it that is done.
        values: What to show after the bar, the most important first; the last ones are left out if there is
            no room for them and a bar of `MIN_BAR` columns.
        blocks: Characters for done and left.
    """
    start, percent, shown = f"{task} ", f" {fraction:4.0%}", ""
    room = columns - 2 - len(start) - len(percent)  # for the bar and the values
    for count in range(len(values), -1, -1):
        shown = "".join(f"  {value}" for value in values[:count])
        if len(shown) + MIN_BAR <= room:
            break
    width = min(MAX_BAR, room - len(shown))
    if width < MIN_BAR:
        return f"{start}{percent}"[: columns - 1]
    done = round(fraction * width)
    return f"{start}{blocks[0] * done}{blocks[1] * (width - done)}{percent}{shown}"


class TerminalProgress(CurrentLRMixin, EpochLines):
    """One line with the epoch, loss, accuracy, speed and the time left of the run, and one line per epoch.

    Other output is not mixed with the bar: before a message of the logging module the bar is erased, and
    after it is drawn the cursor is at the start of its line.

    Args:
        refresh_every_n_seconds: Seconds between updates. The loss is read from the device only then.
    """

    def __init__(self, refresh_every_n_seconds: float) -> None:
        super().__init__()
        self.refresh_every_n_seconds = refresh_every_n_seconds
        self._drawn_at: float | None = None  # None if no bar is visible
        self._eraser = _Eraser(self)
        self._loss: Tensor | None = None
        self._batches_of_stage = 0  # of validation or test

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the logging module."""
        super().setup(trainer, pl_module, stage)
        logging.getLogger().handlers.insert(0, self._eraser)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Erase the bar, also after an error."""
        self.erase()
        logging.getLogger().removeHandler(self._eraser)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Erase the bar before the error is shown."""
        self.teardown(trainer, pl_module, "")

    def print(self, *values: Any, **options: Any) -> None:
        """Print a line instead of the bar, which is drawn again below it."""
        self.erase()
        super().print(*values, **options)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the previous epoch, and draw the bar of this one."""
        super().on_train_epoch_start(trainer, pl_module)
        self._loss = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the bar if it is old enough."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._loss = outputs["loss"]
        if self._is_due():
            fraction = (batch_idx + 1) / max(1, self.last_batch_of_epoch(trainer))
            self._draw(epoch_name(trainer, trainer.current_epoch + 1), fraction, self._values(trainer))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches of the validation."""
        super().on_validation_start(trainer, pl_module)
        self._batches_of_stage = 0

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Draw the bar if it is old enough."""
        self._batches_of_stage += 1
        if self._is_due():
            done = self._batches_of_stage
            if trainer.sanity_checking:
                self._draw("check", done / max(1, sum(trainer.num_sanity_val_batches)), [])
            else:
                name = f"{epoch_name(trainer, trainer.current_epoch + 1)} val"
                self._draw(name, done / max(1, sum(trainer.num_val_batches)), self._values(trainer, done))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches of the test."""
        self._batches_of_stage = 0

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Draw the bar if it is old enough."""
        self._batches_of_stage += 1
        if self._is_due():
            self._draw("test", self._batches_of_stage / max(1, sum(trainer.num_test_batches)), [])

    def erase(self) -> None:
        """Remove the bar, so that something else can be printed."""
        if self._drawn_at is not None:
            self._drawn_at = None
            self._write(f"\r{ERASE_REST}")

    def _is_due(self) -> bool:
        if not self.is_enabled:
            return False
        return self._drawn_at is None or time.perf_counter() - self._drawn_at >= self.refresh_every_n_seconds

    def _values(self, trainer: Trainer, val_batches_done: int | None = None) -> list[str]:
        """Return what the bar shows, the most important first."""
        values = []
        if (left := self.clock.seconds_left(trainer, val_batches_done)) is not None:
            values.append(f"{as_duration(left)} left")
        if self._loss is not None:
            values.append(f"loss {float(self._loss):.3f}")
        if (accuracy := trainer.callback_metrics.get("val/accuracy")) is not None:
            values.append(f"val {float(accuracy):.4f}")
        if speed := self.images_per_second(trainer):
            values.append(f"{speed:,.0f} images/s")
        if self.rate:
            values.append(f"lr {self.rate:.2g}")
        return values

    def _draw(self, task: str, fraction: float, values: Sequence[str]) -> None:
        columns = terminal_columns(sys.stdout)  # may have changed
        blocks = BLOCKS if "utf" in (sys.stdout.encoding or "").lower() else PLAIN
        self._write(f"\r{render(columns, task, min(1.0, fraction), values, blocks)}{ERASE_REST}\r")
        self._drawn_at = time.perf_counter()

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class _Eraser(logging.Handler):
    """Erases the bar before another handler writes a message."""

    def __init__(self, progress: TerminalProgress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.erase()

"""Estimate the time that is left of a run."""

import math
import time

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer

from mobilenet_lab.callbacks.max_steps import steps_left

FORWARD_SHARE = 1 / 3  # of a training step; the guess for a validation batch until one has been measured


class RunClock:
    """Measures training and validation batches of this process.

    The first training batch is not counted: it pays for allocations and for the start of worker processes.

    Attributes:
        images_per_second: Training images per second, without validation; 0 until it is known.
        batches_of_epoch: Training batches done in the current epoch.
    """

    def __init__(self) -> None:
        self.images_per_second = 0.0
        self.batches_of_epoch = 0
        self._images = self._batches = 0
        self._train_seconds = self._running_since = 0.0
        self._val_batches = 0
        self._val_seconds = 0.0

    def start(self) -> None:
        """Start or restart the clock of the training batches."""
        self._running_since = time.perf_counter()

    def count_batch(self, batch_idx: int, images: int) -> None:
        """Count a training batch that has just ended.

        Args:
            batch_idx: Its number in the epoch, from 0.
            images: Its number of images.
        """
        now = time.perf_counter()
        is_first = self._batches == 0
        self._batches += 1
        if not is_first:
            self._train_seconds += now - self._running_since
            self._images += images
            self.images_per_second = self._images / max(self._train_seconds, 1e-9)
        self._running_since = now
        self.batches_of_epoch = batch_idx + 1

    def count_validation(self, batches: int, seconds: float) -> None:
        """Count a validation."""
        self._val_batches += batches
        self._val_seconds += seconds

    def seconds_left(self, trainer: Trainer, val_batches_done: int | None = None) -> float | None:
        """Return the seconds until training and validation end; None if no limit or no speed is known.

        The run may end earlier, by an early stop.

        Args:
            trainer: The trainer.
            val_batches_done: Batches of the current validation that are done; None outside of one.
        """
        estimates = (self._work_left(trainer, val_batches_done), time_left(trainer))
        return min((left for left in estimates if left is not None), default=None)

    def _work_left(self, trainer: Trainer, val_batches_done: int | None) -> float | None:
        batches = training_batches_left(trainer, self.batches_of_epoch)
        if self._batches < 2 or batches is None:
            return None
        train_batch = self._train_seconds / (self._batches - 1)
        val_batch = (
            self._val_seconds / self._val_batches if self._val_batches else train_batch * FORWARD_SHARE
        )
        validation = sum(n for n in trainer.num_val_batches if math.isfinite(n))
        val_batches = validations_left(trainer, batches) * validation
        if val_batches_done is not None:
            val_batches += validation - val_batches_done
        return batches * train_batch + max(0, val_batches) * val_batch


def training_batches_left(trainer: Trainer, batches_of_epoch: int) -> int | None:
    """Return the training batches up to the last epoch or step; None if there is no limit.

    Args:
        trainer: The trainer.
        batches_of_epoch: Batches done in the current epoch.
    """
    limits: list[float] = [steps_left(trainer) * trainer.accumulate_grad_batches]
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        epochs = trainer.max_epochs - trainer.current_epoch
        limits.append(epochs * trainer.num_training_batches - batches_of_epoch)
    left = min(limits)
    return max(0, int(left)) if math.isfinite(left) else None


def validations_left(trainer: Trainer, batches: int) -> int:
    """Return the number of validations that are due within a number of training batches from now."""
    interval = trainer.val_check_batch
    if interval is None or not math.isfinite(interval):
        return 0
    return math.ceil(batches / (interval * (trainer.check_val_every_n_epoch or 1)))


def time_left(trainer: Trainer) -> float | None:
    """Return the seconds up to `trainer.max_time`; None without one."""
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    left = [seconds for timer in timers if (seconds := timer.time_remaining()) is not None]
    return max(0.0, min(left)) if left else None


def as_duration(seconds: float) -> str:
    """Return a duration as m:ss, or as h:mm:ss from an hour on."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

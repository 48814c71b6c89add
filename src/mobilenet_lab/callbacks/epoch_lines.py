"""Print the metrics of every epoch."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from mobilenet_lab.callbacks.run_clock import RunClock, training_batches_left


class EpochLines(ProgressBar):
    """Prints a line per epoch, and keeps the clock that both kinds of progress show.

    Attributes:
        clock: Speed and time left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = RunClock()
        self.is_enabled = True
        self._validated = False
        self._validation_began = 0.0

    def disable(self) -> None:
        """Print nothing, as on all ranks but the first."""
        self.is_enabled = False

    def enable(self) -> None:
        """Print again."""
        self.is_enabled = True

    def print(self, *values: Any, **options: Any) -> None:
        """Print a line, unless disabled; `LightningModule.print` calls it, too."""
        if self.is_enabled:
            options = {"flush": True} | options
            print(*values, **options)

    def images_per_second(self, trainer: Trainer) -> float:
        """Return the training images per second of all ranks; 0 until it is known."""
        return self.clock.images_per_second * trainer.world_size

    def last_batch_of_epoch(self, trainer: Trainer) -> int:
        """Return the number of the last batch in the current epoch, which a limit of steps may cut short."""
        left, done = training_batches_left(trainer, self.clock.batches_of_epoch), self.clock.batches_of_epoch
        total = int(trainer.num_training_batches)
        return total if left is None else min(total, done + left)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the previous epoch, whose metrics are complete only now."""
        self._print_epoch(trainer)
        self.clock.batches_of_epoch = 0
        self.clock.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        self.clock.count_batch(batch_idx, len(batch[0]))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the validation."""
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the epoch has been validated."""
        if trainer.sanity_checking:
            return
        batches = sum(int(number) for number in trainer.num_val_batches)
        self.clock.count_validation(batches, time.perf_counter() - self._validation_began)
        self._validated = True
        self.clock.start()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the last epoch."""
        self._print_epoch(trainer)

    def _print_epoch(self, trainer: Trainer) -> None:
        metrics = trainer.callback_metrics
        stages = ("train", "val") if self._validated else ("train",)
        parts = []
        for name, spec in (("accuracy", ".4f"), ("loss", ".3g")):
            values = {stage: metrics[key] for stage in stages if (key := f"{stage}/{name}") in metrics}
            if values:
                parts.append(f"{name} {', '.join(f'{s} {float(v):{spec}}' for s, v in values.items())}")
        if parts:
            self.print(f"{epoch_name(trainer, trainer.current_epoch)}: {'; '.join(parts)}")
        self._validated = False


def epoch_name(trainer: Trainer, number: int) -> str:
    """Return the number of an epoch, counted from 1, and the number of epochs if there is a limit."""
    known = trainer.max_epochs is not None and trainer.max_epochs > 0
    return f"epoch {number}/{trainer.max_epochs}" if known else f"epoch {number}"

"""A callback for the runs that tests interrupt."""

import os
import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class StopAfter(Callback):
    """Sends the process a signal once so many steps are done: SIGKILL is what a loss of power is like."""

    def __init__(self, steps: int, signal_number: int = signal.SIGKILL) -> None:
        self.steps = steps
        self.signal_number = signal_number

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps:
            os.kill(os.getpid(), self.signal_number)

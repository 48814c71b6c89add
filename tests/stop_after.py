"""A callback for the runs that tests interrupt."""

import os
import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class StopAfter(Callback):
    """Kills the process, as a loss of power would, once a step is done and its checkpoint written."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps:
            os.kill(os.getpid(), signal.SIGKILL)

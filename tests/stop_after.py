"""Callbacks for the runs that tests interrupt or watch."""

import os
import signal
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class StopAfter(Callback):
    """Sends the process a signal once so many steps are done: SIGKILL is what a loss of power is like."""

    def __init__(self, steps: int, signal_number: int = signal.SIGKILL, rank: int | None = None) -> None:
        self.steps = steps
        self.rank = rank
        self.signal_number = signal_number

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps and self.rank in (None, trainer.global_rank):
            os.kill(os.getpid(), self.signal_number)


class RefuseToWait(Callback):
    """From one step to another, lets everything fail that waits for a CUDA device."""

    def __init__(self, steps: tuple[int, int]) -> None:
        self.steps = steps

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        first, last = self.steps
        torch.cuda.set_sync_debug_mode("error" if first <= batch_idx < last else "default")


class Spoil(Callback):
    """Makes the weights infinite before a step, as a learning rate that is far too high would."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps:
            with torch.no_grad():
                next(iter(pl_module.parameters())).fill_(torch.inf)

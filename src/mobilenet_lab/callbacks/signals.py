"""Stop a run cleanly after a signal: all ranks at the same step, with a checkpoint."""

import math
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import distributed

from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.runtime.errors import EXIT_CODES, WORDS, RunInterrupted
from mobilenet_lab.runtime.lightning_internals import (
    disable_sigterm_broadcast,
    handle_sigterm,
    is_resumable_step,
)
from mobilenet_lab.runtime.ranks import SYNC_EVERY_N_BATCHES
from mobilenet_lab.runtime.stop_request import is_echo, request_stop, withdraw_request


class StopOnSignal(Checkpoint):
    """Finishes the step after SIGINT or SIGTERM, writes last.ckpt and raises `RunInterrupted`.

    During a validation within the training, a signal takes effect at the end of the validation. Before
    training and during the test, when there is nothing to save, SIGTERM takes effect at once. So does a
    second signal. Every ten batches, the ranks tell each other about signals, and stop together.
    Lightning does so before every batch, and waits for the device each time.

    It derives from Lightning's `Checkpoint` to be called after all other callbacks. It must be the last one.
    """

    def __init__(self) -> None:
        self._exit_code = 0
        self._received_at = -math.inf
        self._agreed = False  # all ranks know of the signal
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace Lightning's own handling."""
        handle_sigterm(trainer, lambda number, frame: _stop_at_once(trainer, number))
        if stage == "fit" and trainer.world_size > 1:
            disable_sigterm_broadcast(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the handlers, after Lightning has installed its own."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in EXIT_CODES:
            # A shell starts background jobs with SIGINT ignored, and it stays ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._receive)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop at the first resumable step after a signal."""
        if trainer.world_size > 1 and batch_idx % SYNC_EVERY_N_BATCHES == 0:
            self._agree(trainer)
        has_agreed = trainer.world_size == 1 or self._agreed
        if self._exit_code and has_agreed and is_resumable_step(trainer):
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, LastCheckpoint):
                    callback.save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after the checkpoint of the epoch has been written."""
        self._agree(trainer)
        if self._exit_code:
            self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if a signal came after the last epoch; otherwise restore the earlier handlers."""
        self._agree(trainer)
        if self._exit_code:
            self._stop(trainer)
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the earlier handlers."""
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not is_echo(now - self._received_at):
            if self._exit_code:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self._received_at = now
        self._exit_code = EXIT_CODES[signal.Signals(number)]
        request_stop(self._exit_code)

    def _agree(self, trainer: Trainer) -> None:
        if trainer.world_size == 1:
            return
        code = torch.tensor(self._exit_code, device=trainer.strategy.root_device)
        distributed.all_reduce(code, distributed.ReduceOp.MAX)
        self._exit_code = int(code)
        self._agreed = self._exit_code > 0

    def _stop(self, trainer: Trainer) -> None:
        where = f"step {trainer.global_step:,} (epoch {trainer.current_epoch + 1})"
        raise RunInterrupted(f"{WORDS[self._exit_code]} at {where}", self._exit_code)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        withdraw_request()


def _stop_at_once(trainer: Trainer, number: int) -> None:
    if trainer.strategy.launcher is not None:
        trainer.strategy.launcher.kill(signal.Signals(number))  # the ranks that this one has started
    where = "in the test" if trainer.testing else "outside of a training step"
    code = EXIT_CODES[signal.Signals(number)]
    raise RunInterrupted(f"{WORDS[code]} {where}", code)

"""End a run in good order when a signal asks for it: all ranks at one step, with a checkpoint."""

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
from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED
from mobilenet_lab.runtime.errors import EXIT_CODES, WORDS, RunInterrupted
from mobilenet_lab.runtime.lightning_internals import is_resumable_step
from mobilenet_lab.runtime.ranks import ASK_EVERY_N_BATCHES

ECHO_S = 2.0  # how long torchrun or a sweep takes to hand a signal on, at most


class StopOnSignal(Checkpoint):
    """After SIGINT or SIGTERM finishes the step, writes last.ckpt and raises `RunInterrupted`.

    A signal during a validation takes effect at its end. A second signal ends the process at once. Several
    ranks ask each other every ten batches whether one has received a signal, and end together; Lightning
    itself asks before every batch, and waits for the device each time.

    It is a `Checkpoint` to Lightning, since those come after all other callbacks; it has to be the last.
    """

    def __init__(self) -> None:
        self._exit_code = 0
        self._noted_at = -math.inf
        self._agreed = False  # whether all ranks know of it
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the place of Lightning's own question."""
        if stage == "fit" and trainer.world_size > 1:
            loop = trainer.fit_loop.epoch_loop
            loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen; Lightning's own handlers are in place by now."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in EXIT_CODES:
            # A shell lets what it starts in the background ignore SIGINT: then it stays ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._note)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End here, or after the first batch from which the run can go on exactly."""
        if trainer.world_size > 1 and batch_idx % ASK_EVERY_N_BATCHES == 0:
            self._agree(trainer)
        has_agreed = trainer.world_size == 1 or self._agreed
        if self._exit_code and has_agreed and is_resumable_step(trainer):
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, LastCheckpoint):
                    callback.save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End here; the checkpoint of the epoch's end has just been written."""
        self._agree(trainer)
        if self._exit_code:
            self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End here, if asked since the last epoch's end; else leave signals to whoever had them before."""
        self._agree(trainer)
        if self._exit_code:
            self._stop(trainer)
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave signals to whoever had them before."""
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # A cluster may signal every process of a job, and torchrun and sweeps hand theirs on: that is one.
        is_handed_on = "TORCHELASTIC_RUN_ID" in os.environ or SIGNALS_FORWARDED in os.environ
        is_echo = is_handed_on and now - self._noted_at < ECHO_S
        if self._exit_code and not is_echo:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if not is_echo:
            self._noted_at = now
        self._exit_code = EXIT_CODES[signal.Signals(number)]

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


def _nothing() -> None:
    pass

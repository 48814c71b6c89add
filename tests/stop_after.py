"""Callbacks that interrupt or watch the runs of tests."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mobilenet_lab.runtime.machine import proc_field


class StopAfter(Callback):
    """Sends the process a signal after some steps; SIGKILL acts like a power failure.

    Args:
        steps: The number of steps.
        signal_number: The signal.
        rank: The rank that gets the signal; None sends it to all.
        times: How often it is sent.
    """

    def __init__(
        self, steps: int, signal_number: int = signal.SIGKILL, rank: int | None = None, times: int = 1
    ) -> None:
        self.steps = steps
        self.times = times
        self.rank = rank
        self.signal_number = signal_number

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps and self.rank in (None, trainer.global_rank):
            for _ in range(self.times):
                os.kill(os.getpid(), self.signal_number)


class KillWorkerAfter(Callback):
    """Kills a worker process after some steps, as the out-of-memory killer does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps:
            trainer.train_dataloader._iterator._processes[0].kill()


class LimitAfter(Callback):
    """Ends the run after some batches, as a time limit does."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        trainer.should_stop = trainer.should_stop or done >= self.batches


class TouchOnTrainStart(Callback):
    """Creates a file when training starts."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.path.touch()


class ForbidCudaSync(Callback):
    """Makes every operation fail that waits for a CUDA device, from one step of an epoch until another."""

    def __init__(self, steps: tuple[int, int]) -> None:
        self.steps = steps

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        first, last = self.steps
        torch.cuda.set_sync_debug_mode("error" if first <= batch_idx < last else "default")


class Spoil(Callback):
    """Makes weights infinite before or after a step, as a far too high learning rate does."""

    def __init__(self, steps: int, after: bool = False) -> None:
        self.steps = steps
        self.after = after

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps and not self.after:
            self._spoil(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps and self.after:
            self._spoil(pl_module)

    @torch.no_grad()
    def _spoil(self, pl_module: LightningModule) -> None:
        next(iter(pl_module.parameters())).fill_(torch.inf)


class KillAtTestStart(Callback):
    """Kills the process after all epochs, just before the test."""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class SignalAtSanityCheck(Callback):
    """Sends the process SIGTERM before the training."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class SignalAtTestStart(Callback):
    """Sends the process SIGTERM after all epochs, just before the test."""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class WatchProcess(Callback):
    """Records the anonymous memory and the number of open files every n steps, in watched.json."""

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self.samples: list[dict[str, int]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_n_steps == 0:
            anonymous = proc_field("self/status", "RssAnon")
            assert anonymous is not None
            self.samples.append(
                {
                    "anonymous_bytes": int(anonymous.removesuffix(" kB")) << 10,
                    "open_files": len(list(Path("/proc/self/fd").iterdir())),
                }
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        Path("watched.json").write_text(json.dumps(self.samples))

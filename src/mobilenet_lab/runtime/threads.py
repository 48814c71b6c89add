"""The number of CPU threads."""

import logging
import os

import torch
from lightning.pytorch import Trainer

log = logging.getLogger(__name__)


def set_cpu_threads(num_threads: int | None, trainer: Trainer, before: int | None) -> None:
    """Set PyTorch's number of threads, and warn if a resumed run had another number.

    Ranks on one CPU share its cores by default. Without OMP_NUM_THREADS in the environment, Lightning would
    set its own number when training starts.

    Args:
        num_threads: Threads of this process; None for all cores of the machine, shared by its ranks.
        trainer: The trainer of the run.
        before: Threads of the run so far; None if it starts from scratch.
    """
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if num_threads is None and trainer.world_size > 1 and on_cpu and "OMP_NUM_THREADS" not in os.environ:
        num_threads = max(1, torch.get_num_threads() // trainer.num_devices)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
        os.environ["OMP_NUM_THREADS"] = str(num_threads)
    if before not in (None, now := torch.get_num_threads()):
        log.warning(
            "the run so far used %s threads and now uses %s: results will differ in their last bits; "
            "num_threads=%s keeps them equal",
            before,
            now,
            before,
        )

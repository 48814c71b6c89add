"""One training run: from a checked configuration to a run folder with weights and results."""

import os

import torch
from lightning.pytorch import Trainer


def set_cpu_threads(threads: int | None, trainer: Trainer) -> None:
    """Set the number of threads; several processes with all cores each would be in each other's way.

    Lightning would set its own number at the start of training, were the variable not there.
    """
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if threads is None and trainer.world_size > 1 and on_cpu and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, torch.get_num_threads() // trainer.num_devices)
    if threads is not None:
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)

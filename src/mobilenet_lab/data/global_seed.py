"""Seed the global random generators from a batch."""

import random

import numpy as np
import torch

SEED_FACTOR = 0x85EBCA6B  # odd, so that it permutes all 32-bit seeds


def seed_global_generators(seed: int, device: torch.device) -> None:
    """Make random numbers of a training step, such as dropout's, depend on the batch alone.

    A resumed run then needs no generator state. The seed differs from that of the augmentation.
    """
    seed = (seed * SEED_FACTOR + 1) % (1 << 32)
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes 100 times as long
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - third-party code may draw from the global generator
    random.seed(seed)

"""Measure how fast models classify, on one thread each."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import torch

from mobilenet_lab.export.runtimes import Run

WARM_UPS, ROUNDS = 10, 300
MAX_SECONDS = 3.0  # per measurement, and for the warm-up of each model
BATCH_SIZE = 64


@dataclass(frozen=True)
class Speed:
    """Speed of a model on one thread.

    Attributes:
        latency_ms: Median time for one image in milliseconds.
        images_per_second: Throughput with batches.
    """

    latency_ms: float
    images_per_second: float


def measure_speed(
    models: Mapping[str, Run], images: np.ndarray, batch_size: int = BATCH_SIZE
) -> dict[str, Speed]:
    """Return the speed of each model. They take turns, so that other load affects all alike.

    Args:
        models: The models, each opened with one thread.
        images: At least one image, uint8, shape (N, C, H, W).
        batch_size: Images per batch for the throughput.
    """
    one, batch = images[:1], np.resize(images, (batch_size, *images.shape[1:]))
    with one_torch_thread():
        latency = _medians({name: partial(run, one) for name, run in models.items()})
        batches = _medians({name: partial(run, batch) for name, run in models.items()})
    return {name: Speed(1000 * latency[name], batch_size / batches[name]) for name in models}


def _medians(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median time of each call in seconds."""
    for call in calls.values():
        until = time.perf_counter() + MAX_SECONDS
        for _ in range(WARM_UPS):
            call()
            if time.perf_counter() > until:
                break
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    until = time.perf_counter() + MAX_SECONDS
    while len(next(iter(seconds.values()))) < ROUNDS and time.perf_counter() < until:
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(times) for name, times in seconds.items()}


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Run PyTorch on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

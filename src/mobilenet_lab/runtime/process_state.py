"""Leave no trace of a training run in the state of the process."""

import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.profilers", "mobilenet_lab")


@contextmanager
def preserve_process_state() -> Iterator[None]:
    """Restore the global state that a run changes when the block ends, also after an error.

    This covers environment variables, `sys.argv`, warning filters, log levels, the random generators of
    Python, NumPy and PyTorch on the CPU, and PyTorch's number of threads, precision and determinism.
    """
    with ExitStack() as stack:
        stack.callback(_restore_environment, os.environ.copy())
        stack.callback(sys.argv.__setitem__, slice(None), list(sys.argv))
        for logger in map(logging.getLogger, LOGGERS):
            stack.callback(logger.setLevel, logger.level)
        stack.enter_context(warnings.catch_warnings())
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - users may draw from it
        # A generator of a GPU would take memory there in a process that may not train on it.
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        stack.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
        stack.callback(
            torch.use_deterministic_algorithms,
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        yield


def _restore_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)

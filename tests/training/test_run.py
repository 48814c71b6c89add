"""`train` can be called repeatedly: it leaves the configuration and the process as they were."""

import copy
import logging
import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY_RUN, composed
from lightning.pytorch.strategies.launchers import subprocess_script
from runs_under_test import assert_equal_weights

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.run import train


def process_state() -> dict[str, object]:
    return {
        "argv": list(sys.argv),
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
        "level": logging.getLogger("lightning.pytorch").level,
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "observer": subprocess_script._launch_process_observer,  # type: ignore[attr-defined]
    }


@pytest.fixture
def settings(tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    return (
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "trainer.max_epochs=1",
        "num_threads=1",
        "trainer.deterministic=true",
    )


def test_train_twice_in_one_process_gives_equal_bits_and_leaves_no_trace(settings: tuple[str, ...]) -> None:
    for name in ("one", "two"):
        cfg = composed(*settings, f"output_dir={name}")
        before, state = copy.deepcopy(cfg), process_state()
        result = train(cfg)
        assert cfg == before
        assert {key for key, value in process_state().items() if value != state[key]} == set()
        assert result["epochs"] == 1
    assert_equal_weights(Path("one"), Path("two"))


def test_failed_train_leaves_no_trace(settings: tuple[str, ...]) -> None:
    cfg = composed(*settings, "data.batch_size=5000")
    before, state = copy.deepcopy(cfg), process_state()
    with pytest.raises(InputError, match=r"data\.batch_size=5000"):
        train(cfg)
    assert cfg == before
    assert {key for key, value in process_state().items() if value != state[key]} == set()

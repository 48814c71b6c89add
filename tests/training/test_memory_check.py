"""A run that does not fit into memory is refused before the network is built."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY_RUN, composed
from hydra.utils import instantiate

from mobilenet_lab.models import network_for
from mobilenet_lab.runtime import memory
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training import memory_check

GIB = 1 << 30


def check(tiny_idx: Path, overrides: str, processes: int = 1) -> memory_check.MemoryEstimate:
    """Check settings as train.py does, with 100 training, 20 validation and 40 test images."""
    cfg = composed(*TINY_RUN, f"data.root={tiny_idx}", *overrides.split())
    data: Any = instantiate(cfg.data, augmentation=None, mixing=None, seed=0)
    data.setup()
    memory_check.check_memory(cfg, data, processes, memory_check.measure_free_memory(cfg.trainer))
    return memory_check.estimate_memory(cfg, data, "cpu")


@pytest.mark.parametrize(
    ("overrides", "processes", "line"),
    [
        (
            "model.filters=1024",
            1,
            "model.filters=1024: a checkpoint would have 209.8 GiB, and only 4",
        ),
        ("model.filters=80 optimizer=adam", 1, "model.filters=80: this run needs about"),
        ("data.image_size=4000 data.batch_size=64", 1, "data.batch_size=64: this run needs about 141.1 GiB"),
        ("data.image_size=2000 data.batch_size=2", 1, "data.eval_batch_size=250: this run needs about"),
        ("data.image_size=512", 8, "data.batch_size=16: this run needs about"),
    ],
)
def test_run_beyond_the_memory_is_one_line(
    tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, overrides: str, processes: int, line: str
) -> None:
    monkeypatch.setattr(memory_check, "free_memory", lambda device: 2.0 * GIB)
    monkeypatch.setattr(memory_check, "_free_swap", lambda: 0.0)
    with pytest.raises(InputError) as raised:
        check(tiny_idx, overrides, processes)
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)
    if processes > 1:
        assert "of memory in 8 processes (" in str(raised.value)
        check(tiny_idx, overrides, 1)


def test_estimate_counts_weights_state_and_averages(tiny_idx: Path) -> None:
    classes = list("0123456789")
    network = network_for(
        {"network": "mobilenet_v2", "filters": 1}, classes, {"image_size": 28, "channels": 1}
    )
    weights = 4 * sum(parameter.numel() for parameter in network.parameters())
    for optimizer, copies in (("sgd", 2), ("adam", 3), ("adamw callbacks=ema", 4), ("rmsprop", 2)):
        estimate = check(tiny_idx, f"optimizer={optimizer}")
        assert (estimate.state, estimate.gradients) == (copies * weights, weights)
    half = check(tiny_idx, "trainer.precision=bf16-mixed data.batch_size=32")
    assert half.training == pytest.approx(estimate.training, rel=0.1)  # twice the images, half the bytes
    # Validation and test have fewer images than a batch.
    assert check(tiny_idx, "data.eval_batch_size=100000").evaluation == check(tiny_idx, "").evaluation


def test_estimate_leaves_out_what_frozen_stages_need_no_more(tiny_idx: Path) -> None:
    full, four, probe = (
        check(tiny_idx, f"task.freeze_stages={stages}").training for stages in (0, 4, "backbone")
    )
    assert probe < four < full
    assert probe < 0.3 * full
    assert check(tiny_idx, "task.freeze_stages=4 task.freeze_epochs=1").training == full


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("0::/job", {"job/memory.max": "1000", "job/memory.current": "700", "memory.max": "max"}),
        (
            "4:memory:/job",
            {"memory/memory.limit_in_bytes": "1000", "memory/memory.usage_in_bytes": "700"},
        ),
    ],
)
def test_free_memory_heeds_the_limit_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    folder = tmp_path / ("memory" if "memory:" in line else "job")
    (folder / "memory.stat").write_text("inactive_file 50\nactive_file 0\n")
    (tmp_path / "membership").write_text(f"{line}\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
    assert memory.free_memory(torch.device("cpu")) == 350


def test_memory_of_the_chosen_gpu_counts(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (GIB * (1 + 9 * device.index), 0))
    settings = "trainer.accelerator=gpu trainer.precision=bf16-mixed data.image_size=1600"
    with pytest.raises(InputError, match=r"but only 1\.0 GiB are free; lower data\.batch_size"):
        check(tiny_idx, settings, processes=4)
    check(tiny_idx, f"{settings} trainer.devices=[1]", processes=4)

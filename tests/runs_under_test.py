"""The outputs of runs, and the settings that stop one."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from conftest import scalars

# Everything that draws random numbers or has a state, and checkpoints all the time
BUSY = (
    "augmentation=elastic",
    "mixing=mixup",
    "callbacks=ema",
    "model.dropout=0.2",
    "num_threads=1",
)

PLATEAU = ("scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5")
EVERY_STEP = "callbacks.checkpoint.every_n_train_steps=1"

KILLED, INTERRUPTED, TERMINATED = -signal.SIGKILL, 130, 143


def result_of(run: Path) -> dict[str, object]:
    return json.loads((run / "result.json").read_text())  # type: ignore[no-any-return]


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


def assert_equal_bits(one: Path, other: Path) -> None:
    a, b = weights_of(one), weights_of(other)
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


def load(folder: Path, name: str = "last") -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
    return checkpoint


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two nested structures differ by a bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [text for key in one for text in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return [
            t
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for t in differences(a, b, f"{where}.{i}")
        ]
    return [] if one == other else [where]


def assert_same_run(whole: Path, stopped: Path, names: Sequence[str] = ("last", "best")) -> None:
    for name in names:
        one, other = load(whole, name), load(stopped, name)
        kept = (
            "state_dict",
            "current_model_state",
            "optimizer_states",
            "lr_schedulers",
            "epoch",
            "global_step",
        )
        kept = (*kept, "train_metrics", "averaging_state")
        assert differences(*({key: c[key] for key in kept if key in c} for c in (one, other))) == []
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, stopped)]
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert results[0][key] == results[1][key]
    assert (whole / "metrics.csv").read_text() == (stopped / "metrics.csv").read_text()
    assert scalars(whole) == scalars(stopped)


def stop_after(*arguments: str) -> list[str]:
    return ["+callbacks.stop._target_=stop_after.StopAfter", *(f"+callbacks.stop.{a}" for a in arguments)]

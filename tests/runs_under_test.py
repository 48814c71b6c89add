"""Settings of runs that tests stop and resume, and access to the files that the runs leave."""

import csv
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from conftest import scalars
from tensorboard.backend.event_processing.plugin_event_accumulator import TENSORS, EventAccumulator

KILLED, INTERRUPTED, TERMINATED = -signal.SIGKILL, 130, 143

# Everything that draws random numbers or has state
BUSY = (
    "augmentation=elastic",
    "mixing=mixup",
    "callbacks=ema",
    "model.dropout=0.2",
    "num_threads=1",
)
PLATEAU = ("scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5")
MEASURED = ("speed/", "result/images_per_second", "result/minutes")  # metrics that two runs do not share
EVERY_STEP = "callbacks.checkpoint.every_n_train_steps=1"

STATE = (
    "state_dict",
    "current_model_state",
    "optimizer_states",
    "lr_schedulers",
    "epoch",
    "global_step",
    "train_metrics",
    "averaging_state",
)


def stop_after(*arguments: str) -> list[str]:
    """Return the overrides that add a `StopAfter` callback, for example `stop_after("steps=9")`."""
    return ["+callbacks.stop._target_=stop_after.StopAfter", *(f"+callbacks.stop.{a}" for a in arguments)]


def result_of(run: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    return result


def load_checkpoint(run: Path, name: str = "last") -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)
    return checkpoint


def assert_equal_weights(run: Path, other: Path, name: str = "last") -> None:
    """Assert that two runs saved the same weights, bit for bit."""
    assert differences(*(load_checkpoint(path, name)["state_dict"] for path in (run, other))) == []


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return the places at which two nested structures differ by at least a bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [text for key in one for text in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return [
            text
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for text in differences(a, b, f"{where}.{i}")
        ]
    return [] if one == other else [where]


def assert_same_run(whole: Path, stopped: Path, names: Sequence[str] = ("last", "best")) -> None:
    """Assert that a stopped and resumed run left the same state, results and curves as a whole one."""
    for name in names:
        one, other = load_checkpoint(whole, name), load_checkpoint(stopped, name)
        assert differences(*({key: c[key] for key in STATE if key in c} for c in (one, other))) == []
    one, other = result_of(whole), result_of(stopped)
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs", "stop_reason"):
        assert one[key] == other[key]
    assert reproducible_rows(whole) == reproducible_rows(stopped)
    assert reproducible_scalars(whole) == reproducible_scalars(stopped)
    assert panels(whole) == panels(stopped)


def reproducible_rows(run: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv, without the measured speed."""
    rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    return [{key: value for key, value in row.items() if not key.startswith(MEASURED)} for row in rows]


def reproducible_scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows of a run as scalars, without the measured speed."""
    return {tag: values for tag, values in scalars(run).items() if not tag.startswith(MEASURED)}


def panels(run: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Return the images and precision-recall curves that TensorBoard shows of a run: step and contents."""
    # `event_accumulator` would keep the curves that an interrupted run has logged after its checkpoint.
    events = EventAccumulator(str(run), size_guidance={TENSORS: 0})
    events.Reload()
    return {
        tag: [(event.step, event.tensor_proto.SerializeToString()) for event in events.Tensors(tag)]
        for plugin in ("images", "pr_curves")
        for tag in events.PluginTagToContent(plugin)
    }

"""Metrics that callbacks monitor: which ones there are, and whether higher is better."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from mobilenet_lab.runtime.errors import InputError

TRAINING = ("train/loss", "train/accuracy")
VALIDATION = ("val/loss", "val/accuracy")
METRICS = (*TRAINING, *VALIDATION)  # of `tasks.classification.ImageClassifier`
TASK = "mobilenet_lab.tasks.classification.ImageClassifier"
# Callbacks from these packages log no metric that another one could monitor.
LOGGING_NOTHING = ("mobilenet_lab.", "lightning.")


def best_mode(monitor: str, mode: str | None = None) -> str:
    """Return "min" or "max": the given mode, or "min" for a metric whose name ends in "loss"."""
    return mode or ("min" if monitor.lower().endswith("loss") else "max")


def is_of_validation(monitor: str) -> bool:
    """Return whether a metric is logged by validations, as its name says."""
    return monitor.lower().startswith("val")


def _knows_all_metrics(values: Mapping[str, Any]) -> bool:
    """Return whether METRICS are all that a run with these settings logs."""
    targets = (str(node.get("_target_")) for node in (values.get("callbacks") or {}).values() if node)
    return values["task"]["_target_"] == TASK and all(name.startswith(LOGGING_NOTHING) for name in targets)


def check_monitors(values: Mapping[str, Any]) -> None:
    """Refuse a callback that monitors a metric that nobody logs, or in the wrong direction.

    With a class from elsewhere, the run itself finds out what is logged; see `callbacks.monitor_check`.

    Raises:
        InputError: The metric does not exist, or its mode is the opposite of what is better.
    """
    is_known = _knows_all_metrics(values)
    for name, node in (values.get("callbacks") or {}).items():
        monitor = (node or {}).get("monitor")
        if not isinstance(monitor, str):
            continue
        key = f"callbacks.{name}"
        if is_known and monitor not in METRICS:
            raise InputError(no_such_metric(f"{key}.monitor", monitor, METRICS))
        mode = node.get("mode")
        better = best_mode(monitor)
        if monitor in METRICS and mode in ("min", "max") and mode != better:
            raise InputError(
                f"{key}.mode={mode}: does not fit {key}.monitor={monitor}; use {key}.mode={better}"
            )


def no_such_metric(key: str, monitor: str, logged: Collection[str]) -> str:
    """Return the message for a metric that is not logged.

    Args:
        key: The key that names the metric.
        monitor: The metric.
        logged: The metrics that are.
    """
    near = difflib.get_close_matches(monitor, logged, n=1)
    hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(logged)) or 'none'}"
    return f"{key}={monitor}: no such metric is logged; {hint}"

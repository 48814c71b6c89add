"""One training run: from a checked configuration to a run folder with weights and results."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from mobilenet_lab.checkpoints.state import schedule_in
from mobilenet_lab.config.fingerprint import result_relevant_settings

log = logging.getLogger(__name__)
MOST_CHANGES = 5  # that are listed
# What an observer chose, and no figure depends on
COSMETIC_KEYS = {
    "callbacks.checkpoint.every_n_train_steps",
    "data.cache",
    "data.num_workers",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.profiler",
}


def settings_before(folder: Path) -> dict[str, Any] | None:
    """Those of the run in a folder that its figures depend on; None where they cannot be read."""
    try:
        return result_relevant_settings(OmegaConf.load(folder / "config.yaml"))
    except (OSError, AttributeError, YAMLError, OmegaConfBaseException):
        return None


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]


def warn_of_changes(cfg: DictConfig, folder: Path, checkpoint: dict[str, Any]) -> None:
    """Say which settings are others than those that the run so far had, but for how long it trains."""
    now, kept = result_relevant_settings(cfg), _settings_in_checkpoint(checkpoint)
    before = settings_before(folder) or now
    changes = [
        f"{key}={now.get(key)} (so far {before.get(key)})"
        for key in changed_keys(before, now)
        if not key.startswith("trainer.max_") and key not in kept
    ]
    if changes:
        more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
        log.warning("the run goes on with other settings: %s%s", ", ".join(changes[:MOST_CHANGES]), more)
    for key in sorted(kept.keys() & now.keys()):
        if now[key] != kept[key]:
            log.warning("%s=%s is not used: the checkpoint goes on with %s", key, now[key], kept[key])


def _settings_in_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What optimizer and schedule have in their state, and go on with whatever the configuration says."""
    group, schedule = checkpoint["optimizer_states"][0]["param_groups"][0], schedule_in(checkpoint)
    values = {f"optimizer.{key}": value for key, value in group.items() if key != "params"}
    values["optimizer.lr"] = group.get("initial_lr", group["lr"])
    values |= {f"scheduler.{key}": value for key, value in schedule.items()}
    if "min_lrs" in schedule:
        values["scheduler.min_lr"] = schedule["min_lrs"][0]
    plain = (bool, int, float, str, type(None))
    lists = {key: list(value) for key, value in values.items() if isinstance(value, list | tuple)}
    lists = {key: value for key, value in lists.items() if all(isinstance(one, plain) for one in value)}
    return {key: value for key, value in values.items() if isinstance(value, plain)} | lists

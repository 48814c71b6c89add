"""Compare the settings of a resumed run with those of the run so far."""

import logging
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from mobilenet_lab.checkpoints.state import backbone_lr_factor, optimizer_settings, schedule_state
from mobilenet_lab.config.fingerprint import result_relevant_settings
from mobilenet_lab.config.nested import shown
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)

MAX_LISTED_CHANGES = 5
MAX_QUOTED = 100  # characters of a value
# Settings that affect what is logged, cached or displayed, but no result
COSMETIC_KEYS = {
    "callbacks.checkpoint.every_n_train_steps",
    "data.cache",
    "data.num_workers",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.profiler",
}


def saved_settings(run: RunFolder) -> dict[str, Any] | None:
    """Return the result-relevant settings saved in a run folder; None if they cannot be read."""
    try:
        return result_relevant_settings(OmegaConf.load(run.config))
    except (OSError, AttributeError, YAMLError, OmegaConfBaseException):
        return None


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the keys whose values differ, sorted."""
    return [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]


def quoted(value: Any) -> str:
    """Return a value from a file that anyone may have written, for a message: short and printable."""
    text = shown(value)
    return printable(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}...")


def warn_about_changes(cfg: DictConfig, run: RunFolder, checkpoint: dict[str, Any]) -> None:
    """Log the settings that changed, and those that the state of optimizer and schedule overrides.

    Limits on the length of the run are left out: extending a run is the usual reason to resume it.
    """
    now, restored = result_relevant_settings(cfg), _settings_in_checkpoint(checkpoint)
    before = saved_settings(run) or now
    changes = [
        f"{quoted(key)}={quoted(now.get(key))} (was {quoted(before.get(key))})"
        for key in changed_keys(before, now)
        if not key.startswith("trainer.max_") and key not in restored
    ]
    if changes:
        hidden = len(changes) - MAX_LISTED_CHANGES
        more = f" and {hidden} more" if hidden > 0 else ""
        log.warning(
            "the run resumes with changed settings: %s%s", ", ".join(changes[:MAX_LISTED_CHANGES]), more
        )
    for key in sorted(restored.keys() & now.keys()):
        if now[key] != restored[key]:
            log.warning(
                "%s=%s is ignored: the checkpoint restores %s", key, quoted(now[key]), quoted(restored[key])
            )


def _settings_in_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the state of optimizer and schedule restores."""
    group, schedule = optimizer_settings(checkpoint), schedule_state(checkpoint)
    values = {f"optimizer.{key}": value for key, value in group.items() if key != "params"}
    values["optimizer.lr"] = group.get("initial_lr", group["lr"])
    values["task.backbone_lr_factor"] = backbone_lr_factor(checkpoint)
    values |= {f"scheduler.{key}": value for key, value in schedule.items()}
    if "min_lrs" in schedule:
        values["scheduler.min_lr"] = schedule["min_lrs"][0]
    plain = (bool, int, float, str, type(None))
    lists = {key: list(value) for key, value in values.items() if isinstance(value, list | tuple)}
    lists = {key: value for key, value in lists.items() if all(isinstance(one, plain) for one in value)}
    return {key: value for key, value in values.items() if isinstance(value, plain)} | lists

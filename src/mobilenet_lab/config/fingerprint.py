"""Settings of a run as flat dictionaries, to compare runs."""

from typing import Any

from omegaconf import OmegaConf

from mobilenet_lab.config.nested import flatten

# Settings that do not change what a run computes
IGNORED = ("resume", "overwrite", "num_threads", "rank_timeout", "callbacks.checkpoint.every_n_minutes")
IGNORED_GROUPS = ("logger.", "callbacks.progress.", "callbacks.dashboard.", "callbacks.nan_guard.")


def flat_settings(cfg: Any) -> dict[str, Any]:
    """Return the settings by dotted key, except `output_dir` and paths inside it."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    return {
        key: value
        for key, value in flatten(values).items()
        if not f"{value}/".startswith(f"{cfg.output_dir}/")
    }


def result_relevant_settings(cfg: Any) -> dict[str, Any]:
    """Return the settings that affect a run's results, without those about paths, output and logging."""
    return {
        key: value
        for key, value in flat_settings(cfg).items()
        if key not in IGNORED and not f"{key}.".startswith(IGNORED_GROUPS)  # a group may be null
    }

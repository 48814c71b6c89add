"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from mobilenet_lab.config.nested import keys, value_of


def flat_settings(cfg: Any) -> dict[str, Any]:
    """A run's settings by their dotted keys, without those that name its folder or one inside."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    flat = {key: value_of(values, key) for key in keys(values)}
    return {
        key: value
        for key, value in flat.items()
        if not isinstance(value, Mapping) and not f"{value}/".startswith(f"{cfg.output_dir}/")
    }


def result_relevant_settings(cfg: Any) -> dict[str, Any]:
    """Those that a run's figures depend on: not where it lies, and not what it prints and logs."""
    return {
        key: value
        for key, value in flat_settings(cfg).items()
        if key not in ("resume", "num_threads", "callbacks.checkpoint.every_n_minutes")
        and not key.startswith(("logger.", "callbacks.progress.", "callbacks.nan_guard."))
    }

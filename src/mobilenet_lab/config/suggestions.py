"""Compose the known keys, and suggest one after a typo."""

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mobilenet_lab.config.nested import keys

# Groups whose files change settings of other groups and define none.
OVERLAYS = ("experiment", "debug")


def compose_choices(config_name: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Compose a primary configuration with the choices of its groups, without overlays and overrides.

    Args:
        config_name: Name of the primary configuration.
        choices: The choice per group.

    Returns:
        The settings, with interpolations unresolved. They are cached: do not change them.
    """
    overrides = [
        f"{group}={OmegaConf.to_container(choice) if OmegaConf.is_config(choice) else choice}"
        for group, choice in choices.items()
        if group not in OVERLAYS and choice is not None
    ]
    if HydraConfig.initialized() and (folders := HydraConfig.get().searchpath):
        quoted = [f"'{folder}'" for folder in folders]
        overrides.append(f"hydra.searchpath=[{','.join(quoted)}]")
    sources = GlobalHydra.instance().config_loader().get_sources()
    return _compose(config_name, tuple(overrides), tuple(source.path for source in sources))


@lru_cache
def _compose(config_name: str, overrides: tuple[str, ...], sources: tuple[str, ...]) -> dict[str, Any]:
    """Compose a configuration from the current sources, which are an argument for the cache only."""
    known: Any = OmegaConf.to_container(compose(config_name, overrides=list(overrides)))
    return known


def suggest(key: str, known: Mapping[str, Any]) -> str:
    """Return a hint with the known key most similar to an unknown one, or with the keys of its group."""
    parent, _, name = key.rpartition(".")
    by_name: dict[str, list[str]] = {}
    for known_key in keys(known):
        by_name.setdefault(known_key.rpartition(".")[2], []).append(known_key)
    siblings = [n for n, keys in by_name.items() if any(k.rpartition(".")[0] == parent for k in keys)]
    if nearest := difflib.get_close_matches(name, siblings, n=1):
        return f"did you mean {parent + '.' if parent else ''}{nearest[0]}?"
    if name in by_name:
        return f"did you mean {' or '.join(by_name[name])}?"
    names = ", ".join(n for n in siblings if not n.endswith("_"))
    return f"{parent or 'the configuration'} has {names}" if names else "see --help"

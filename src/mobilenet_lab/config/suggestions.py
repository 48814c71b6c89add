"""Compose the known keys, and suggest one after a typo."""

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mobilenet_lab.config.nested import keys
from mobilenet_lab.config.synonyms import advice, spelled, translate

# Groups whose files change settings of other groups and define none.
OVERLAYS = ("experiment", "debug")
# Groups of named objects, which a command line may extend.
OPEN_GROUPS = ("callbacks", "logger")
MAX_LISTED = 4  # keys of a group that are listed in addition to a suggestion


def compose_choices(
    config_name: str, choices: Mapping[str, Any], folders: Sequence[str] = ()
) -> dict[str, Any]:
    """Compose a primary configuration with the choices of its groups, without overlays and overrides.

    Args:
        config_name: Name of the primary configuration.
        choices: The choice per group.
        folders: More folders of YAML files than those that Hydra knows.

    Returns:
        The settings, with interpolations unresolved. They are cached: do not change them.
    """
    overrides = [
        f"{group}={OmegaConf.to_container(choice) if OmegaConf.is_config(choice) else choice}"
        for group, choice in choices.items()
        if group not in OVERLAYS and choice is not None
    ]
    if HydraConfig.initialized():
        folders = [*folders, *HydraConfig.get().searchpath]
    if folders:
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
    """Return a hint with the known key that an unknown one means, or with the keys of its group."""
    known_keys = list(keys(known))
    parent, _, name = key.rpartition(".")
    if _is_new_member(key, known):
        return _suggest_member(key, known)
    if setting := _same_key(key, known_keys):
        return f"did you mean {setting}?"
    if instead := advice(key):
        return instead
    by_name: dict[str, list[str]] = {}
    for known_key in known_keys:
        by_name.setdefault(known_key.rpartition(".")[2], []).append(known_key)
    siblings = [n for n, keys in by_name.items() if any(k.rpartition(".")[0] == parent for k in keys)]
    if nearest := difflib.get_close_matches(name, siblings, n=1):
        return f"did you mean {parent + '.' if parent else ''}{nearest[0]}?"
    names = ", ".join(n for n in siblings if not n.endswith("_"))
    members = f"{parent or 'the configuration'} has {names}" if names else "see --help"
    if same := by_name.get(spelled(name)):
        is_short = bool(parent) and 0 < len(siblings) <= MAX_LISTED
        return f"did you mean {' or '.join(same)}?{f' {members}' if is_short else ''}"
    return members


def _is_new_member(key: str, known: Mapping[str, Any]) -> bool:
    group, *rest = key.split(".")
    return group in OPEN_GROUPS and group in known and bool(rest) and rest[0] not in (known[group] or {})


def _same_key(key: str, known_keys: Sequence[str]) -> str | None:
    """Return the known key that is spelled differently, with a dash for example, or has another name."""
    by_spelling = {spelled(known): known for known in known_keys}
    return by_spelling.get(spelled(key)) or translate(key, known_keys)


def _suggest_member(key: str, known: Mapping[str, Any]) -> str:
    """Return a hint for a key below an unknown member of a group of named objects."""
    group, name = key.split(".")[:2]
    if name in _choices(group):
        return f"choose it with {group}={name}"
    members = known[group] or {}
    nearest = difflib.get_close_matches(name, members, n=1)
    hint = f"did you mean {group}.{nearest[0]}?" if nearest else f"{group} has {', '.join(members)};"
    what = group.removesuffix("s")
    return f"{hint} to add a {what}, use +{group}.{name}._target_=<class> and + before each of its keys"


def _choices(group: str) -> list[str]:
    """Return the choices of a group; none after Hydra has ended."""
    hydra = GlobalHydra.instance()
    return hydra.config_loader().get_group_options(group) if hydra.is_initialized() else []

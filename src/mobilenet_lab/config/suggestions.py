"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from mobilenet_lab.config.nested import keys

# Groups whose files change other groups: their keys must be known already.
OVERLAYS = ("experiment", "debug")


def compose_choices(config_name: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What a script's groups compose to by themselves, overlays and single overrides left out."""
    assert GlobalHydra.instance().is_initialized()
    overrides = [
        f"{group}={choice}"
        for group, choice in choices.items()
        if group not in OVERLAYS and choice is not None
    ]
    known: Any = OmegaConf.to_container(compose(config_name, overrides=overrides))
    return known


def suggest(key: str, known: Mapping[str, Any]) -> str:
    """A sentence that names the key nearest to a wrong one, or the keys beside it."""
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

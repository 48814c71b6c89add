"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig


def keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all keys, groups' own included."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        yield key
        if isinstance(value, Mapping):
            yield from keys(value, f"{key}.")


def value_of(values: Mapping[str, Any], key: str) -> Any:
    value: Any = values
    for name in key.split(".") if key else []:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def shown(value: Any) -> Any:
    return "null" if value is None else value


def callbacks(cfg: DictConfig) -> list[DictConfig]:
    return [node for node in (cfg.get("callbacks") or {}).values() if node is not None]


def target_name(node: DictConfig) -> str:
    """The last part of `_target_`: what a configuration calls its class or function."""
    name: str = node["_target_"].rpartition(".")[2]
    return name

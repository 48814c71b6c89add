"""Nested settings by dotted keys."""

import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig


def keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of all settings and groups."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        yield key
        if isinstance(value, Mapping):
            yield from keys(value, f"{key}.")


def value_of(values: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key, None where there is none, or all values for an empty key."""
    value: Any = values
    for name in key.split(".") if key else []:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not groups, by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = flatten(value) if isinstance(value, Mapping) else None
        flat |= {str(name): value} if inner is None else {f"{name}.{key}": one for key, one in inner.items()}
    return flat


def shown(value: Any) -> str:
    """Return a value as YAML and the command line spell it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def callbacks(cfg: DictConfig) -> list[DictConfig]:
    """Return the configurations of the callbacks that are not null."""
    return [node for node in (cfg.get("callbacks") or {}).values() if node is not None]


def target_name(node: DictConfig) -> str:
    """Return the name of the class or function that `_target_` names."""
    name: str = node["_target_"].rpartition(".")[2]
    return name


def target_of(node: Mapping[str, Any]) -> Any:
    """Import and return what `_target_` names; None if that fails, which is reported when it is built."""
    try:
        return pkgutil.resolve_name(node["_target_"])
    except (ImportError, AttributeError, ValueError):
        return None


def builds(node: Mapping[str, Any], kind: type) -> bool:
    """Return True if `_target_` names the class `kind` or a subclass."""
    target = target_of(node)
    return isinstance(target, type) and issubclass(target, kind)

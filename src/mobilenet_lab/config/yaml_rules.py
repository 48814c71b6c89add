"""Read the rules in the comments of the YAML files that a configuration is composed of."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from mobilenet_lab.config.rules import Rule, parse_rule
from mobilenet_lab.runtime.errors import InputError

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COMMENT = re.compile(r"\s+#\s*(.*)")
PACKAGE = re.compile(r"\s*#\s*@package\s+(\S+)")
HYDRA_KEYS = ("defaults", "hydra")


def read_rules(folders: Sequence[Path], primary: str, choices: Mapping[str, Any]) -> dict[str, Rule]:
    """Read the rules of the primary configuration and of the chosen files of each group.

    Args:
        folders: Hydra's configuration folders, by priority.
        primary: Name of the primary configuration.
        choices: The choice or list of choices per group; a group may be followed by "@" and a package.

    Returns:
        The rule of each dotted key that has one.

    Raises:
        InputError: A comment starts like a rule but is not one.
    """
    rules: dict[str, Rule] = {}
    for target, choice in choices.items():
        group, _, package = target.partition("@")
        for name in [choice] if isinstance(choice, str) else choice or []:
            for path in _files(folders, group, name):
                rules |= rules_in(path, package or group.replace("/", "."))
    for path in _files(folders, "", primary):
        rules |= rules_in(path, "")
    return rules


@lru_cache
def rules_in(path: Path, package: str) -> Mapping[str, Rule]:
    """Return the rules in one file by dotted key, below the package.

    Raises:
        InputError: A comment starts like a rule but is not one.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    if header := PACKAGE.match(lines[0]):
        package = header[1].replace("_global_", "").replace("_group_", package)
    rules = {}
    for key, node in leaves(_compose(path)):
        comment = COMMENT.match(lines[node.end_mark.line], node.end_mark.column)
        try:
            rule = parse_rule(comment[1], _number(node)) if comment else None
        except ValueError as error:
            place = f"{path}:{node.end_mark.line + 1}: {key}"
            raise InputError(f"{place}: {error}; fix it, or start the comment with another word") from error
        if rule is not None:
            rules[f"{package}.{key}".lstrip(".")] = rule
    return rules


def _files(folders: Sequence[Path], group: str, name: str) -> Iterator[Path]:
    """Yield a choice's file after those that its defaults list puts before it."""
    candidates = [folder / group / f"{name.removesuffix('.yaml')}.yaml" for folder in folders]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:  # not a file, but part of a Python package or a structured configuration
        return
    root = _compose(path)
    lists = [value.value for key, value in root.value if key.value == "defaults"] if root else []
    # Entries of the form "group: choice" are choices of their own.
    names = [entry.value for entry in (lists[0] if lists else []) if isinstance(entry, yaml.ScalarNode)]
    for entry in names if "_self_" in names else [*names, "_self_"]:
        if entry == "_self_":
            yield path
        else:
            yield from _files(folders, "" if entry.startswith("/") else group, entry.lstrip("/"))


@lru_cache
def _compose(path: Path) -> Any:
    """Return the root node of a YAML file that holds a mapping."""
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader)
    return root if isinstance(root, yaml.MappingNode) else None


def leaves(root: Any, prefix: str = "") -> Iterator[tuple[str, yaml.Node]]:
    """Yield the dotted key and node of each value that is not a mapping or a block of text."""
    for key, node in root.value if root else []:
        if isinstance(node, yaml.MappingNode):
            if prefix or key.value not in HYDRA_KEYS:
                yield from leaves(node, f"{prefix}{key.value}.")
        elif (prefix or key.value not in HYDRA_KEYS) and getattr(node, "style", None) not in ("|", ">"):
            yield f"{prefix}{key.value}", node


def _number(node: yaml.Node) -> float | None:
    """Return a node's value if it is a number."""
    for kind in (int, float):
        try:
            return kind(node.value)
        except (TypeError, ValueError):
            continue
    return None

"""Render docs/configuration.md from the YAML files: python -m mobilenet_lab.config.reference."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from mobilenet_lab.config.rules import START
from mobilenet_lab.config.suggestions import OVERLAYS
from mobilenet_lab.config.synonyms import ADVICE, SYNONYMS
from mobilenet_lab.config.yaml_rules import COMMENT, HYDRA_KEYS, Loader, leaves
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.machine import ROOT

CONF = ROOT / "conf"
PAGE = ROOT / "docs/configuration.md"
SCRIPTS = ("train", "predict", "evaluate", "export")


def render() -> str:
    """Return the page: the keys of each script, then the choices and keys of each group."""
    lines = [Path(__file__).with_suffix(".md").read_text(encoding="utf-8")]
    for script in SCRIPTS:
        lines += [f"## {script}.py", "", *_key_table(_keys(CONF / f"{script}.yaml", "")), ""]
    for group, default in _groups().items():
        paths = sorted((CONF / group).glob("*.yaml"), key=lambda path: (path.stem != default, path.stem))
        lines += [f"## {group}", "", *_choice_table(group, paths, default), ""]
        for path in paths if group not in OVERLAYS else ():
            if table := _key_table(
                [key for key in _keys(path, group) if key.is_described or not _extends(path)]
            ):
                lines += [f"`{group}={path.stem}`:", "", *table, ""]
    lines += ["## Names in other tools", "", *_synonym_table()]
    return "\n".join(lines)


@dataclass(frozen=True)
class Key:
    """A key of a YAML file, with the value, rule and note in its line."""

    name: str
    value: str
    rule: str
    note: str

    @property
    def is_described(self) -> bool:
        """True if the line has a comment; a line without one often overrides a key of another file."""
        return bool(self.rule or self.note)


def _groups() -> dict[str, str | None]:
    """Return the groups of train.py with their default choice, in the order in which they are composed."""
    defaults = yaml.load((CONF / "train.yaml").read_text(encoding="utf-8"), Loader)["defaults"]
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    return {
        group: choice
        for entry in entries
        for group, choice in entry.items()
        if not group.startswith("override ")
    }


def _choice_table(group: str, paths: Sequence[Path], default: str | None) -> Iterator[str]:
    """Yield a table of a group's files: the first sentence of the header, and overridden keys."""
    yield from ("| choice | | sets |", "|---|---|---|")
    for path in paths:
        mark = " (default)" if path.stem == default else ""
        overrides = [] if group in OVERLAYS else [key for key in _keys(path, group) if not key.is_described]
        sets = ", ".join(f"`{key.name}={key.value}`" for key in overrides if "${" not in key.value)
        yield f"| `{path.stem}`{mark} | {_first_sentence(path)} | {sets if _extends(path) else ''} |"


def _extends(path: Path) -> bool:
    """Return whether a file changes another one of its group."""
    return "\ndefaults:" in f"\n{path.read_text(encoding='utf-8')}"


def _first_sentence(path: Path) -> str:
    header = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            header.append(line.removeprefix("#").strip())
    text = " ".join(header)
    if text.startswith("Result: "):
        return text.removeprefix("Result: ").split(" Hardware")[0].rstrip(".")
    return re.split(r"(?<!et al)[.:] (?=[A-Z0-9])|[.:]$", text)[0]


def _keys(path: Path, group: str) -> list[Key]:
    """Return the keys of a file, without those that name a class."""
    text = path.read_text(encoding="utf-8")
    lines, keys = text.split("\n"), []
    for key, node in leaves(yaml.compose(text, Loader)):
        if key.rpartition(".")[2].startswith("_") or key.split(".")[0] in HYDRA_KEYS:
            continue
        comment = COMMENT.match(lines[node.end_mark.line], node.end_mark.column)
        rule, note = _split(comment[1]) if comment else ("", "")
        keys.append(Key(f"{group}.{key}".lstrip("."), _source(text, node), rule, note))
    return keys


def _key_table(keys: Sequence[Key]) -> list[str]:
    """Return a table of keys; empty if there are none."""
    rows = [f"| `{key.name}` | `{key.value}` | {key.rule} | {key.note} |" for key in keys]
    return ["| key | default | rule | note |", "|---|---|---|---|", *rows] if rows else []


def _synonym_table() -> Iterator[str]:
    """Yield a table of the names that other tools have for settings."""
    yield "A key that does not exist is refused. The message translates these names:"
    yield from ("", "| setting | names |", "|---|---|")
    by_settings: dict[str, list[str]] = {}
    for name, settings in SYNONYMS.items():
        by_settings.setdefault(" or ".join(f"`{setting}`" for setting in settings), []).append(f"`{name}`")
    yield from (f"| {settings} | {', '.join(names)} |" for settings, names in by_settings.items())
    yield from (f"| {instead} | `{name}` |" for name, instead in ADVICE.items())


def _split(comment: str) -> tuple[str, str]:
    """Split a comment into rule and note."""
    if not START.match(comment):
        return "", comment
    rule, _, note = comment.partition(";")
    return rule.strip(), note.strip()


def _source(text: str, node: Any) -> str:
    """Return a value as the file spells it."""
    return text[node.start_mark.index : node.end_mark.index].strip()


if __name__ == "__main__":
    write_atomically(PAGE, lambda scratch: scratch.write_text(render(), encoding="utf-8"))

"""Say what is wrong with a YAML file: which file, which line, and how to fix it."""

import codecs
import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]

HEADER = re.compile(r"\s*#\s*@package\b(.*)")
GLOBAL = "# @package _global_"


def explain_yaml_error(error: yaml.YAMLError) -> str | None:
    """Return one line about a file that is not valid YAML; None if the error is not about a file."""
    mark = getattr(error, "problem_mark", None)
    name = str(getattr(error, "name", "") if mark is None else mark.name)
    if not Path(name).is_file():
        return None
    if mark is None:  # a character that YAML does not allow
        return f"{name}: contains the control character {chr(error.character)!r}; remove it"
    place, problem = f"{name}:{mark.line + 1}", str(error.problem)
    if duplicate := re.fullmatch(r"found duplicate key (.*)", problem):
        return f"{place}: the key {duplicate[1]} is given twice; remove one of them"
    if r"'\t'" in problem:
        return f"{place}: a tab indents the line; use spaces"
    return f"{place}: {problem}; fix the YAML"


def find_fault(folders: Iterable[Path], group: str, choice: str, is_overlay: bool) -> str | None:
    """Return one line about what makes the file of a choice unusable; None if nothing does.

    Args:
        folders: Hydra's configuration folders, by priority.
        group: Name of the group.
        choice: Name of the choice.
        is_overlay: Whether the group changes settings of other groups.
    """
    paths = (folder / group / f"{choice.removesuffix('.yaml')}.yaml" for folder in folders)
    path = next((path for path in paths if path.is_file()), None)
    return None if path is None else fault_in(path, is_overlay)


def find_unreadable(folders: Iterable[Path], chosen: Collection[str]) -> str | None:
    """Return one line about a file that Hydra cannot read; None if there is none.

    Args:
        folders: Hydra's configuration folders.
        chosen: Names of files to look at first.
    """
    paths = [path for folder in folders for path in sorted(folder.rglob("*.yaml"))]
    paths.sort(key=lambda path: path.stem not in chosen)
    return next((fault for path in paths if (fault := _unreadable(path)) is not None), None)


def fault_in(path: Path, is_overlay: bool) -> str | None:
    """Return one line about what makes a file of a group unusable; None if nothing does."""
    if unreadable := _unreadable(path):
        return unreadable
    content = path.read_bytes()
    lines = content.decode("utf-8-sig").split("\n")
    header = next((i for i, line in enumerate(lines) if HEADER.match(line)), None)
    root = yaml.compose(content, yaml.SafeLoader)
    if header is None:
        if is_overlay:
            return f"{path}:1: needs `{GLOBAL}` as its first line, and below it the settings"
    elif content.startswith(codecs.BOM_UTF8):
        return f"{path}:1: a byte order mark hides `{GLOBAL}`; save the file as UTF-8 without it"
    elif header >= len(_headers(lines)):
        return f"{path}:{header + 1}: Hydra reads `{GLOBAL}` only as the first line; move it there"
    elif not is_overlay and "_global_" in lines[header]:
        return f"{path}:{header + 1}: `{GLOBAL}` moves the keys out of their group; remove the line"
    if root is None and not is_overlay:
        return f"{path}: is empty; write the keys of its group"
    if root is not None and not isinstance(root, yaml.MappingNode):
        return f"{path}:{root.start_mark.line + 1}: is not a mapping; write lines of the form `key: value`"
    return None


def _unreadable(path: Path) -> str | None:
    """Return one line about a file whose text or headers Hydra cannot read."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return f"{path}:{line}: is not UTF-8; save the file as UTF-8"
    for i, line_of_text in enumerate(_headers(text.split("\n"))):
        header = HEADER.match(line_of_text)
        if header and len(header[1].split()) != 1:
            return f"{path}:{i + 1}: `{line_of_text.strip()}` does not name one package; write `{GLOBAL}`"
    return None


def _headers(lines: Sequence[str]) -> list[str]:
    """Return the first lines, up to the first that is neither empty nor a header."""
    return list(itertools.takewhile(lambda line: not line.strip() or HEADER.match(line), lines))

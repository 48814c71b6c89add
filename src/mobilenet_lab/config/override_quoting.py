"""Quote paths on the command line, so that users need no quotes beyond those of their shell."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

PATH_KEYS = (
    "ckpt",
    "image",
    "output",
    "save_images",
    "resume",
    "output_dir",
    "data.root",
    "model.weights",
    "hydra.sweep.dir",
)
INTERPOLATED_KEYS = ("output_dir", "data.root", "hydra.sweep.dir")
SWEEP_ARGUMENTS = ("-m", "--multirun", "hydra.mode=MULTIRUN")
QUOTES = ("'", '"')
ESCAPED = r"\${"  # an interpolation that is taken literally
# A member of a list: a quoted string, or all up to the next comma outside of an interpolation
MEMBER = re.compile(
    r"""\s*(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*(?=,|$)|(?:\$\{[^}]*\}|[^,])+""", re.DOTALL
)
MAX_PARTS = 4  # parts of one name with commas in a list
FUNCTION = re.compile(r"(?:choice|glob|range|interval|sort|shuffle|tag|extend_list)\(.*\)", re.DOTALL)


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path keys, so that Hydra takes `=`, commas, spaces and brackets literally.

    Values that are already quoted, interpolations and the functions of Hydra's grammar stay as they are. A
    value in square brackets, and in a sweep also a value with commas, is a list whose members are quoted. A
    file whose name has a comma or brackets is one value.
    """
    sweeps = is_sweep(arguments)
    return [_quote_path(argument, sweeps) for argument in arguments]


def is_sweep(arguments: Sequence[str]) -> bool:
    """Return whether a command line starts a sweep."""
    return any(argument in SWEEP_ARGUMENTS for argument in arguments)


def unquote_paths(arguments: Sequence[str]) -> list[str]:
    """Undo `quote_paths` for single paths; lists stay quoted."""
    return [_unquote_path(argument) for argument in arguments]


def _unquote_path(argument: str) -> str:
    key, _, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or value[:1] not in QUOTES:
        return argument
    path = str(OverridesParser.create().parse_override(argument).value())
    return f"{key}={path.replace(ESCAPED, '${')}"


def _quote_path(argument: str, sweeps: bool) -> str:
    key, equals, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or not equals or not value:
        return argument
    if not _exists(value):
        if sweeps and (FUNCTION.fullmatch(value) or "],[" in value):
            return argument
        if value[0] == "[" and value[-1] == "]":
            members = (_quote_member(name, key) for name in _members(value[1:-1]))
            return f"{key}=[{','.join(members)}]"
        if sweeps and "," in value:
            names = _members(value)
            return f"{key}={','.join(_quote_member(name, key) for name in names)}"
    return f"{key}={_quote_member(value, key)}"


def _members(value: str) -> Iterator[str]:
    """Yield the members of a list. Neighbors that are the name of one file belong together."""
    parts = list(MEMBER.finditer(value))
    first = 0
    while first < len(parts):
        last = min(first + MAX_PARTS, len(parts)) - 1
        while last > first and not _exists(value[parts[first].start() : parts[last].end()].strip()):
            last -= 1
        if name := value[parts[first].start() : parts[last].end()].strip():
            yield name
        first = last + 1


def _quote_member(value: str, key: str) -> str:
    """Quote one path, unless it is quoted, null or an interpolation."""
    is_home = value.rstrip("/") == "~"
    # Most shells expand ~ only at the start of a word. No run writes into the home folder itself.
    if key != "output_dir" if is_home else value.startswith("~/"):
        value = str(Path(value).expanduser())
    is_quoted = len(value) > 1 and value[0] in QUOTES and value[-1] == value[0]
    if is_quoted or value == "null" or (key in INTERPOLATED_KEYS and "${" in value):
        return value
    return _quote(value)


def _quote(value: str) -> str:
    # In Hydra's grammar a backslash is special only before a quote and at the end of a string.
    escaped = re.sub(r"(\\*)(')", r"\1\1\\\2", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped).replace("${", ESCAPED)
    return f"'{escaped}'"


def _exists(path: str) -> bool:
    # `Path.exists` raises an error for a name that is too long.
    return os.path.exists(path)  # noqa: PTH110

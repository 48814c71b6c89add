"""Quote paths on the command line, so that users need no quotes beyond those of their shell."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

PATH_KEYS = ("ckpt", "image", "resume", "output_dir", "data.root")
QUOTES = ("'", '"')
ESCAPED = r"\${"  # an interpolation that is taken literally


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path keys, so that Hydra takes `=`, commas, spaces and brackets literally.

    Values that are already quoted, interpolations and the lists of a sweep stay as they are. A value in
    square brackets is a list whose members are quoted, unless a file has exactly that name.
    """
    is_sweep = any(argument in ("-m", "--multirun") for argument in arguments)
    return [_quote_path(argument, is_sweep) for argument in arguments]


def unquote_paths(arguments: Sequence[str]) -> list[str]:
    """Undo `quote_paths` for single paths; lists stay quoted."""
    return [_unquote_path(argument) for argument in arguments]


def _unquote_path(argument: str) -> str:
    key, _, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or value[:1] not in QUOTES:
        return argument
    path = str(OverridesParser.create().parse_override(argument).value())
    return f"{key}={path.replace(ESCAPED, '${')}"


def _quote_path(argument: str, is_sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or not equals or not value:
        return argument
    is_home = value.rstrip("/") == "~"
    # Most shells expand ~ only at the start of a word. No run writes into the home folder itself.
    if key != "output_dir" if is_home else value.startswith("~/"):
        value = str(Path(value).expanduser())
    is_quoted = len(value) > 1 and value[0] in QUOTES and value[-1] == value[0]
    if is_quoted or value == "null" or (is_sweep and "," in value):
        return argument
    if "${" in value and key in ("output_dir", "data.root"):
        return argument
    # `Path.exists` raises an error for a name that is too long.
    if value[0] == "[" and value[-1] == "]" and not os.path.exists(value):  # noqa: PTH110
        members = [member.strip() for member in value[1:-1].split(",")]
        quoted = [m if m.startswith(QUOTES) else _quote(m) for m in members if m]
        return f"{key}=[{','.join(quoted)}]"
    return f"{key}={_quote(value)}"


def _quote(value: str) -> str:
    # In Hydra's grammar a backslash is special only before a quote and at the end of a string.
    escaped = re.sub(r"(\\*)(')", r"\1\1\\\2", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped).replace("${", ESCAPED)
    return f"'{escaped}'"

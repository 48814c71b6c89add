"""Quote paths on the command line, so that users need no quotes beyond those of their shell."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

PATH_KEYS = ("ckpt", "image", "resume", "output_dir", "data.root")
QUOTES = ("'", '"')


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path keys, so that Hydra takes `=`, commas, spaces and brackets literally.

    Values that are already quoted, interpolations and the lists of a sweep stay as they are. A value in
    square brackets is a list whose members are quoted, unless a file has exactly that name.
    """
    is_sweep = any(argument in ("-m", "--multirun") for argument in arguments)
    return [_quote_path(argument, is_sweep) for argument in arguments]


def _quote_path(argument: str, is_sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or not equals or not value:
        return argument
    if value == "~" or value.startswith("~/"):  # most shells expand ~ only at the start of a word
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
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped).replace("${", "\\${")
    return f"'{escaped}'"

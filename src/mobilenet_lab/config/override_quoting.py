"""What the scripts share: paths without quoting, errors as one line, sweeps as processes of their own."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

PATH_KEYS = ("ckpt", "image", "resume", "output_dir", "data.root")
QUOTES = ("'", '"')


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path keys, so that Hydra takes `=`, commas, spaces and brackets as they are.

    Left alone: values already quoted, interpolations, and lists of a sweep. A value in square brackets is a
    list whose members are quoted, unless a file has just that name.
    """
    is_sweep = any(argument in ("-m", "--multirun") for argument in arguments)
    return [_quote_path(argument, is_sweep) for argument in arguments]


def _quote_path(argument: str, is_sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or not equals or not value:
        return argument
    if value == "~" or value.startswith("~/"):  # a shell does so for few keys
        value = str(Path(value).expanduser())
    is_quoted = len(value) > 1 and value[0] in QUOTES and value[-1] == value[0]
    if is_quoted or value == "null" or (is_sweep and "," in value):
        return argument
    if "${" in value and key in ("output_dir", "data.root"):
        return argument
    # `Path.exists` would raise where it is too long for a name.
    if value[0] == "[" and value[-1] == "]" and not os.path.exists(value):  # noqa: PTH110
        members = [member.strip() for member in value[1:-1].split(",")]
        quoted = [m if m.startswith(QUOTES) else _quote(m) for m in members if m]
        return f"{key}=[{','.join(quoted)}]"
    return f"{key}={_quote(value)}"


def _quote(value: str) -> str:
    # In Hydra's grammar a backslash is special only before a quote, or at the end.
    escaped = re.sub(r"(\\*)(')", r"\1\1\\\2", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped).replace("${", "\\${")
    return f"'{escaped}'"

"""Read the arguments of a script before Hydra does, which would answer a mistake with a page of usage."""

import itertools
import re
from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from mobilenet_lab.config.synonyms import SYNONYMS, spelled
from mobilenet_lab.runtime.errors import InputError

DASHED = re.compile(r"-{1,2}([A-Za-z][\w./@-]*)(=.*)?", re.DOTALL)


def order_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with Hydra's options before the overrides, in any order of both.

    Hydra itself takes options before or after all overrides, but not between them.

    Raises:
        InputError: An argument starts with a dash and is not an option of Hydra, or an option is wrong.
    """
    parser = get_args_parser()
    parser.error = _raise  # type: ignore[method-assign]
    if not any(argument.startswith("-") for argument in arguments):
        return list(arguments)
    parsed, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        following = dict(itertools.pairwise([*arguments, ""]))
        raise InputError(_explain_unknown(unknown[0], following.get(unknown[0], "")))
    return [*_without(arguments, parsed.overrides), *parsed.overrides]


def _raise(message: str) -> NoReturn:
    raise InputError(f"{message.removeprefix('argument ')}; see --hydra-help")


def _explain_unknown(argument: str, following: str) -> str:
    """Return what to type instead of an argument with dashes, which may take its value from the next one."""
    match = DASHED.fullmatch(argument)
    if match is None:
        return f"{argument}: cannot be read as key=value; see --help"
    key, value = match[1], match[2]
    if value is None:
        value = "=..." if not following or "=" in following or following[0] == "-" else f"={following}"
    setting = SYNONYMS.get(spelled(key), (key.replace("-", "_"),))[0]
    return f"{argument}: a setting has no dashes; use {setting}{value}"


def _without(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the arguments that are not overrides; an option's value comes before an equal override."""
    options, left = [], list(overrides)
    for argument in reversed(arguments):
        if left and argument == left[-1]:
            left.pop()
        else:
            options.append(argument)
    return options[::-1]

"""Check a composed configuration before anything heavy is imported.

The known keys are those of the YAML files themselves: a configuration is compared with what its groups'
choices compose to alone. Types follow the defaults there; `RULES` adds ranges, and choices of words.
"""

import math
import numbers
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """Which values a key takes.

    Args:
        description: Completes "must be ...".
        accepts: Whether a value that is not null is one of them.
        optional: Whether null is, too.
    """

    description: str
    accepts: Callable[[Any], bool]
    optional: bool = False


def whole(low: int, high: int | None = None, optional: bool = False) -> Rule:
    """A whole number in a closed range."""
    ends = f"from {low:,} to {high:,}" if high is not None else f"of at least {low:,}"
    return Rule(
        f"a whole number {ends}",
        lambda value: is_whole(value) and value >= low and (high is None or value <= high),
        optional,
    )


def number(low: float, high: float = float("inf"), optional: bool = False, below: bool = False) -> Rule:
    """A number in a closed range; with `below`, the upper end left out."""
    ends = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
    return Rule(
        f"a number {ends}{', less than that' if below else ''}",
        lambda value: is_number(value) and low <= value and (value < high if below else value <= high),
        optional,
    )


def share(optional: bool = False) -> Rule:
    """A fraction in [0, 1] or a count of batches."""
    return Rule(
        "a fraction from 0 to 1 or a whole count",
        lambda value: (is_whole(value) and value >= 0) or (is_number(value) and 0 <= value <= 1),
        optional,
    )


def held_out(optional: bool = False) -> Rule:
    """A fraction below 1 or a count of images."""
    return Rule(
        "a fraction below 1 or a whole count",
        lambda value: (is_whole(value) and value >= 0) or (is_number(value) and 0 <= value < 1),
        optional,
    )


def one_of(*words: Any, optional: bool = False) -> Rule:
    """One of some words."""
    return Rule(f"one of {', '.join(map(str, words))}", lambda value: value in words, optional)


def list_of(rule: Rule, length: int, what: str) -> Rule:
    """A list of so many values."""
    return Rule(
        f"a list of {length} {what}",
        lambda value: (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and len(value) == length
            and all(map(rule.accepts, value))
        ),
    )


def ascending(rule: Rule, what: str) -> Rule:
    """A smallest and a largest value."""
    pair = list_of(rule, 2, what)
    return Rule(
        f"{pair.description}, the smaller first",
        lambda value: pair.accepts(value) and value[0] <= value[1],
    )


def either(*rules: Rule, optional: bool = False) -> Rule:
    """Any of several rules."""
    return Rule(
        " or ".join(rule.description for rule in rules),
        lambda value: any(rule.accepts(value) for rule in rules),
        optional,
    )


positive = Rule("a number above 0", lambda value: is_number(value) and value > 0)


positive_or_null = Rule(positive.description, positive.accepts, optional=True)


up_to_one = Rule("a number above 0, up to 1", lambda value: is_number(value) and 0 < value <= 1)


some = Rule(
    "a fraction above 0, up to 1, or a whole count of at least 1",
    lambda value: (is_whole(value) and value > 0) or (is_number(value) and 0 < value <= 1),
)


text = Rule("text", lambda value: isinstance(value, str))


path = Rule("a path", lambda value: isinstance(value, str) and bool(value))


# Some of the libraries that write into a run's folder would expand these, and some would not.
folder = Rule(
    "a folder's path, without ~ at its beginning, $ and ://",
    lambda value: path.accepts(value) and value[0] != "~" and not any(s in value for s in ("$", "://", "::")),
)


path_or_null = Rule(path.description, path.accepts, optional=True)


per_channel = Rule(
    "a list with a number for each channel",
    lambda value: isinstance(value, list) and len(value) in (1, 3) and all(map(is_number, value)),
)


positive_per_channel = Rule(
    "a list with a number above 0 for each channel",
    lambda value: per_channel.accepts(value) and min(value) > 0,
)


devices_list = Rule(
    "a list of the devices' numbers, each once",
    lambda value: (
        isinstance(value, list) and len(set(value)) == len(value) > 0 and all(map(whole(0).accepts, value))
    ),
)


class_weights = Rule(
    "balanced, or a list with a number above 0 for each class",
    lambda value: (
        value == "balanced"
        or (isinstance(value, list) and len(value) > 1 and all(map(positive.accepts, value)))
    ),
    optional=True,
)


duration = Rule(
    "a time above 0 as DD:HH:MM:SS",
    lambda value: (
        isinstance(value, str)
        and re.fullmatch(r"\d\d:\d\d:\d\d:\d\d", value) is not None
        and re.search("[1-9]", value) is not None
    ),
    optional=True,
)


def is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)

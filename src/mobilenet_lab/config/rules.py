"""The grammar of rules: the values that a key accepts, in the words of its YAML comment.

A rule is one or more alternatives, joined by "or":

    in [0, 1)               an interval; a square bracket includes its end, a parenthesis excludes it
    > 0, >= 1               a bound
    integer, number         a type, alone or with an interval or bound: integer in [1, 8]
    fraction, count         a number in [0, 1], an integer >= 0; also with an interval or bound
    7 integers in [1, 8]    a list of that length; "2 ascending numbers": no number is below the one before
    list of paths           a list that is not empty; list of at least 2 numbers; list of distinct integers
    one of a, b, 3          one of the values of a YAML list
    only false, -1          exactly this value
    names with numbers > 0  a mapping that is not empty, with values as in the list that follows "names with"
    null, text, path        null; a string; a string that is not empty
    folder                  a path that no library expands
    time DD:HH:MM:SS        a duration above 0

An interval or bound without a type takes it from the default: integers for an integer, otherwise numbers.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from mobilenet_lab.config.nested import shown
from mobilenet_lab.config.value_kinds import LARGEST, SMALLEST, is_integer, is_number, mapping_of

NUMBER = r"-?\d[\d.]*(?:e-?\d+)?"
# A comment that starts like this is a rule, any other is a note; "number of steps" is a note.
START = re.compile(
    r"in [\[(]|[<>]|-?\d+$|\d+ (?:ascending |distinct )?(?:integer|number|path)|one of |only |list of "
    r"|time DD|names with "
    r"|(?:integer|number|fraction|count|null|text|path|folder)s?\b(?! (?:of|to|for|that|with)\b)"
)
VALUES = re.compile(
    r"(?P<list>list of (?:at least (?P<least>\d+) )?|(?P<length>\d+) )?(?P<order>ascending |distinct )?"
    r"(?:(?P<type>integer|number|fraction|count|text|path)(?P<plural>s?) ?)?"
    rf"(?P<bounds>in (?P<left>[\[(])(?P<low>{NUMBER}), (?P<high>{NUMBER})(?P<right>[\])])"
    rf"|(?P<bound>>=?) (?P<limit>{NUMBER}))?"
)


@dataclass(frozen=True)
class Rule:
    """The values that a key accepts.

    Args:
        description: Completes the sentence "must be ...".
        accepts: Returns True for an accepted value.
        words: The accepted values that a typo may have meant.
    """

    description: str
    accepts: Callable[[Any], bool]
    words: tuple[str, ...] = ()

    def hint(self, value: Any) -> str:
        """Return "; did you mean ...?" if the value resembles an accepted word, otherwise "".

        For a number that a computer cannot represent as such, the hint is the range of those that it can.
        """
        is_known = is_integer(value) if isinstance(value, int) else is_number(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and not is_known:
            return f"; only integers below 2^63 and numbers from {SMALLEST:.2g} to {LARGEST:.2g} can be used"
        close = difflib.get_close_matches(str(value), self.words, n=1)
        return f"; did you mean {close[0]}?" if close else ""


def parse_rule(comment: str, default: Any = None) -> Rule | None:
    """Parse the rule at the start of a comment, up to the first semicolon.

    Args:
        comment: The comment without its "#".
        default: The value before the comment.

    Returns:
        The rule, or None if the comment is a note.

    Raises:
        ValueError: The comment starts like a rule but is not one.
    """
    text = comment.partition(";")[0].strip()
    if not START.match(text):
        return None
    rules = [_parse_alternative(alternative.strip(), default) for alternative in text.split(" or ")]
    return Rule(
        " or ".join(rule.description for rule in rules),
        lambda value: any(rule.accepts(value) for rule in rules),
        tuple(word for rule in rules for word in rule.words),
    )


def rule_of_default(default: Any) -> Rule | None:
    """Return the rule of a key without one in its comment: a value of its default's type."""
    if isinstance(default, bool):
        return Rule("true or false", lambda value: isinstance(value, bool))
    if is_integer(default) or is_number(default):
        return _parse_alternative("integer" if is_integer(default) else "number", default)
    if isinstance(default, str):
        return NAMED["text"]
    return Rule("a list", lambda value: isinstance(value, list)) if isinstance(default, list) else None


def _is_fraction(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return is_integer(value) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_folder(value: Any) -> bool:
    # Some of the libraries that write into a run folder expand these, others do not.
    return _is_path(value) and value[0] != "~" and not any(part in value for part in ("$", "::", "://"))


def _is_duration(value: Any) -> bool:
    return _is_text(value) and re.fullmatch(r"\d\d(:\d\d){3}", value) is not None and value.strip("0:") != ""


NAMED = {
    "null": Rule("null", lambda value: value is None),
    "text": Rule("text", _is_text),
    "folder": Rule("a folder without ~ at its start, $, :: or ://", _is_folder),
    "time DD:HH:MM:SS": Rule("a time above 0 as DD:HH:MM:SS", _is_duration),
}
TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "integer": ("an integer", is_integer),
    "number": ("a number", is_number),
    "fraction": ("a fraction", _is_fraction),
    "count": ("a count", _is_count),
    "text": ("text", _is_text),
    "path": ("a path", _is_path),
}


def _parse_alternative(text: str, default: Any) -> Rule:
    if text in NAMED:
        return NAMED[text]
    if text.startswith(("one of ", "only ")) or re.fullmatch(NUMBER, text):
        return _one_of(yaml.safe_load(f"[{text.removeprefix('one of ').removeprefix('only ')}]"))
    if text.startswith("names with "):
        return _names_with(_parse_alternative(f"list of {text.removeprefix('names with ')}", default))
    match = VALUES.fullmatch(text)
    if match is None or not (match["type"] or match["bounds"]):
        raise ValueError(f"{text!r} is not a rule")
    kind = match["type"] or ("integer" if is_integer(default) else "number" if is_number(default) else None)
    if kind is None or (match["bounds"] and kind in ("text", "path")):
        raise ValueError(f"{text!r} needs a type, integer or number")
    if bool(match["list"]) != bool(match["plural"]) or (match["order"] and not match["list"]):
        raise ValueError(f"{text!r} is neither one value nor a list")
    noun, is_kind = TYPES[kind]
    bounds, is_within = _bounds(match)
    if match["list"]:
        return _list_of(
            f"{noun.split()[-1]}s{bounds}", lambda value: is_kind(value) and is_within(value), match
        )
    return Rule(noun + bounds, lambda value: is_kind(value) and is_within(value))


def _one_of(values: list[Any]) -> Rule:
    words = tuple(dict.fromkeys(shown(value) for value in values))
    return Rule(
        f"one of {', '.join(words)}" if len(words) > 1 else words[0],
        lambda value: any(type(value) is type(one) and value == one for one in values),
        words,
    )


def _bounds(match: re.Match[str]) -> tuple[str, Callable[[Any], bool]]:
    """Return the words for an interval or bound, and the test for a value within."""
    if match["limit"]:
        limit, is_open = float(match["limit"]), match["bound"] == ">"
        words = f" {'above' if is_open else 'of at least'} {_shown_number(limit)}"
        return words, lambda value: value > limit if is_open else value >= limit
    if not match["bounds"]:
        return "", lambda value: True
    low, high = float(match["low"]), float(match["high"])
    above, below = match["left"] == "(", match["right"] == ")"
    excluded = [_shown_number(end) for end, is_open in ((low, above), (high, below)) if is_open]
    words = f" from {_shown_number(low)} to {_shown_number(high)}"
    return (
        f"{words} (excluding {' and '.join(excluded)})" if excluded else words,
        lambda value: (low < value if above else low <= value) and (value < high if below else value <= high),
    )


def _list_of(members: str, accepts: Callable[[Any], bool], match: re.Match[str]) -> Rule:
    """Return the rule of a list whose members are described in the plural."""
    length, least, order = int(match["length"] or 0), int(match["least"] or 1), match["order"] or ""
    size = f"{length} " if length else f"at least {least} " if least > 1 else ""

    def accepts_list(value: Any) -> bool:
        if not (isinstance(value, list) and all(map(accepts, value))):
            return False
        if order == "ascending ":
            is_ordered = value == sorted(value)
        else:
            is_ordered = order == "" or len(set(value)) == len(value)
        return is_ordered and (len(value) == length if length else len(value) >= least)

    return Rule(f"a list of {size}{order}{members}", accepts_list)


def _names_with(values: Rule) -> Rule:
    """Return the rule of a mapping whose values, as a list, follow a rule."""

    def accepts(value: Any) -> bool:
        mapping = mapping_of(value)
        return mapping is not None and values.accepts(list(mapping.values()))

    return Rule(values.description.replace("a list of", "names with"), accepts)


def _shown_number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() else f"{value:g}"

"""The grammar of rules, on comments written here."""

from typing import Any

import pytest

from mobilenet_lab.config.rules import parse_rule, rule_of_default


@pytest.mark.parametrize(
    ("comment", "default", "accepted", "refused"),
    [
        ("in [1, 8]", 2, [1, 8], [0, 9, 1.0, True, "1", None]),
        ("in [0, 1)", 0.5, [0, 0.0, 0.999], [1, 1.0, -0.001, float("nan"), True, "0"]),
        ("in (0, 1]", 0.5, [0.001, 1], [0, 1.001]),
        ("> 0", 0.1, [1e-9, 7], [0, -1, float("inf"), None, 1e-39, 1e39, 10**400]),
        (">= 1", 3, [1, 10**9, 2**63 - 1], [0, 1.5, 2**63, 10**400]),
        (">= -1", 0, [-1], [-2]),
        ("integer in [1, 8] or null", None, [1, 8, None], [0, 9, 2.5, "null"]),
        ("number >= 0 or null", None, [0, 0.5, None], [-0.5]),
        ("integer >= 1 or -1", 3, [1, -1], [0, -2]),
        ("fraction in [0, 1) or count", 5000, [0, 0.5, 1, 5000], [1.0, -1, 2.5, True]),
        ("fraction in (0, 1] or count >= 1", 1.0, [0.5, 1.0, 1, 7], [0, 0.0, 1.5]),
        ("one of a, b, 3, true", "a", ["a", "b", 3, True], ["c", "3", 3.0, 1, None]),
        ("one of 32-true, '32', 32", "32-true", ["32-true", "32", 32], [32.0, "33"]),
        ("only false", False, [False], [True, 0, None]),
        ("7 integers in [1, 8]", None, [[1, 2, 3, 4, 5, 6, 8]], [[1] * 6, [0] * 7, [1.5] * 7, 1, "1234567"]),
        ("2 ascending numbers > 0", None, [[0.9, 1.1], [1, 1]], [[1.1, 0.9], [0, 1], [1, 2, 3]]),
        ("list of integers >= 1", None, [[1], [10, 14]], [[], [1, 0], [1.5], 3]),
        ("list of distinct integers >= 0", None, [[0], [1, 0]], [[0, 0], []]),
        ("list of at least 2 numbers > 0", None, [[1, 2.5]], [[1], [0, 1]]),
        (
            "names with numbers > 0",
            None,
            [{"a": 1, 10: 0.5}, "{猫: 2}"],
            [{}, {"a": 0}, "a", "{", "{a: 0}", [1]],
        ),
        ("path or list of paths", "a", ["a", ["a", "b"]], ["", [], [1], ["a", ""], None]),
        ("text", "a", ["", "a"], [1, None]),
        ("folder", "a", ["a/b", "a:b"], ["", "~/a", "$HOME/a", "file:///a", "a::b"]),
        ("time DD:HH:MM:SS or null", None, ["00:00:05:00", None], ["00:00:00:00", "1:00:00:00", "soon", 5]),
    ],
)
def test_rule_accepts(comment: str, default: Any, accepted: list[Any], refused: list[Any]) -> None:
    rule = parse_rule(f"{comment}; a note, in [any, words", default)
    assert rule is not None
    assert [value for value in accepted if not rule.accepts(value)] == []
    assert [value for value in refused if rule.accepts(value)] == []


@pytest.mark.parametrize(
    ("comment", "default", "description"),
    [
        ("in [1, 1024]", 8, "an integer from 1 to 1,024"),
        ("in [0, 1)", 0.1, "a number from 0 to 1 (excluding 1)"),
        ("> 0", 0.1, "a number above 0"),
        ("integer >= 1 or null", None, "an integer of at least 1 or null"),
        ("2 ascending numbers in [0, 0.5]", None, "a list of 2 ascending numbers from 0 to 0.5"),
        ("list of paths", None, "a list of paths"),
        ("one of crop, pad or null", None, "one of crop, pad or null"),
        ("only false", False, "false"),
    ],
)
def test_description_completes_a_sentence(comment: str, default: Any, description: str) -> None:
    rule = parse_rule(comment, default)
    assert rule is not None
    assert rule.description == description


@pytest.mark.parametrize(
    "note", ["per device", "number of steps", "path to the images", "8 is width 1.0", "index 0 is first", ""]
)
def test_note_is_not_a_rule(note: str) -> None:
    assert parse_rule(note, 1) is None


@pytest.mark.parametrize(
    ("comment", "default"),
    [
        ("in [1, 8", 1),
        ("in [1; 8]", 1),
        ("> many", 1),
        ("< 3", 1),
        ("in [0, 1]", None),
        ("in [0, 1]", "text"),
        ("integers >= 1", 1),
        ("7 integer in [1, 8]", None),
        ("number >= 0 or so", 1),
        ("path in [0, 1]", "a"),
        ("time DD:HH:MM", None),
    ],
)
def test_malformed_rule_is_an_error(comment: str, default: Any) -> None:
    with pytest.raises(ValueError, match=r"rule|type|list|value"):
        parse_rule(comment, default)


@pytest.mark.parametrize(
    ("default", "accepted", "refused"),
    [
        (True, [False], [0, "true", None]),
        (3, [0, -7], [1.5, True]),
        (0.5, [1, 2.5], ["1", float("nan")]),
        ("a", ["b"], [1, None]),
        ([1], [[], ["a"]], ["a", None]),
    ],
)
def test_default_decides_the_type(default: Any, accepted: list[Any], refused: list[Any]) -> None:
    rule = rule_of_default(default)
    assert rule is not None
    assert all(map(rule.accepts, accepted))
    assert not any(map(rule.accepts, refused))


def test_null_default_allows_any_value() -> None:
    assert rule_of_default(None) is None

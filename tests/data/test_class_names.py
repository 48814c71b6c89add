"""Class names are text that a terminal shows as one word."""

import re
import time
from typing import Any

import pytest

from mobilenet_lab.data.class_names import MAX_CLASSES, MAX_LENGTH, check_class_names
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier


def test_names_in_all_scripts_are_accepted() -> None:
    names = ["cat", "two words", "T-shirt/top", "猫", "ねこ", "قطة", "म\u200dक", "👩\u200d🔬", "é", "e\u0301"]
    check_class_names([*names, "x" * MAX_LENGTH], "data")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("\x1b[31mred", r"data: class name '\x1b[31mred' has control characters; rename it"),
        ("a\nb: cat (99 %)", r"data: class name 'a\nb: cat (99 %)' has control characters; rename it"),
        ("a\u2028b", r"data: class name 'a\u2028b' has control characters; rename it"),
        ("caf\udce9", r"data: class name 'caf\udce9' is not valid UTF-8; rename it"),
        ("\u202etac", r"data: class name '\u202etac' has characters that turn the direction of the text; "),
        ("", "data: class name '' is empty; rename it"),
        (" ", "data: class name ' ' is empty; rename it"),
        ("x" * 256, f"data: class name '{'x' * 59} has 256 characters, more than 255; rename it"),
        ("dog", "data: class name 'dog' is the name of two classes; rename it"),
        (3, "data: class name int is not text; rename it"),
        ([10**5000], "data: class name list is not text; rename it"),
        (None, "data: class name NoneType is not text; rename it"),
    ],
)
def test_name_that_cannot_be_printed_is_refused(name: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}") as raised:
        check_class_names(["dog", name], "data")
    assert str(raised.value).isprintable()


def test_number_of_classes_is_bounded_and_checked_fast() -> None:
    names = [f"class {i} é" for i in range(MAX_CLASSES)]
    began = time.process_time()
    check_class_names(names, "data")
    assert time.process_time() - began < 0.5
    with pytest.raises(InputError, match="32,769 classes; at most 32,768 are possible"):
        check_class_names([*names, "more"], "data")


def test_network_with_names_that_no_checkpoint_may_have_is_refused() -> None:
    with pytest.raises(InputError, match="classes: class name 'a' is the name of two classes"):
        ImageClassifier({"filters": 1}, classes=["a", "a"])

import csv
import errno
import io
import json
import os

import pytest

from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.inference.writers import FORMATS, write_output
from mobilenet_lab.runtime.errors import InputError

EVIL = "\x1b[2Jcat\nerror: dog \udcff"  # clears the terminal, and forges a line
CLASSES = [EVIL, "eel"]
PREDICTIONS = [
    ("a.png", Prediction(EVIL, {EVIL: 0.75, "eel": 0.25})),
    ("b\n.png", Prediction("eel", {EVIL: 0.4, "eel": 0.6}, "low confidence")),
    ("c.png", Prediction(None, {}, "no digit found")),
]


def formatted(name: str) -> str:
    return "".join(FORMATS[name](PREDICTIONS, CLASSES))


def test_text_is_one_printable_line_per_image() -> None:
    assert formatted("text").splitlines() == [
        "a.png: \\x1b[2Jcat\\nerror: dog \\udcff (75.0%)",
        "b\\n.png: eel (60.0%, low confidence)",
        "c.png: no digit found",
    ]


def test_csv_has_printable_classes_and_the_note_at_the_end() -> None:
    header, *rows = csv.reader(io.StringIO(formatted("csv"), newline=""))
    assert header == ["image", "class", "confidence", "\\x1b[2Jcat\\nerror: dog \\udcff", "eel", "note"]
    assert rows == [
        ["a.png", header[3], "0.75", "0.75", "0.25", ""],
        ["b\n.png", "eel", "0.6", "0.4", "0.6", "low confidence"],
        ["c.png", "", "0.0", "", "", "no digit found"],
    ]


def test_json_is_ascii_and_loses_nothing() -> None:
    text = formatted("json")
    assert text.isascii()
    assert "\x1b" not in text
    assert [tuple(entry.values()) for entry in json.loads(text)] == [
        ("a.png", EVIL, 0.75, {EVIL: 0.75, "eel": 0.25}, None),
        ("b\n.png", "eel", 0.6, {EVIL: 0.4, "eel": 0.6}, "low confidence"),
        ("c.png", None, 0.0, {}, "no digit found"),
    ]


class FailingStream(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, InputError), (errno.EIO, InputError), (errno.EPIPE, BrokenPipeError)],
)
def test_failing_output_is_named(
    monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    monkeypatch.setattr("sys.stdout", FailingStream(number))
    with pytest.raises(expected, match=r"standard output: |Broken pipe"):
        write_output(["a"])

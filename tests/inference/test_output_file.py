import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mobilenet_lab.inference.output_file import check_output, write_predictions
from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.inference.writers import FORMATS, Named
from mobilenet_lab.runtime.errors import InputError

CLASSES = ["cat", "dog", "eel"]
PREDICTIONS = [
    ("a.png", Prediction("dog", {"cat": 0.3, "dog": 0.6, "eel": 0.1})),
    ("b\udcff.png", Prediction("eel", {"cat": 0.4, "dog": 0.1, "eel": 0.5}, "low confidence")),
    ("c.png", Prediction(None, {}, "no digit found")),
]


def test_file_has_the_format_of_its_suffix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix, name in ((".csv", "csv"), (".json", "json"), (".JSON", "json")):
        path = tmp_path / f"new/x{suffix}"
        write_predictions(iter(PREDICTIONS), CLASSES, check_output(str(path)), None)
        expected = "".join(FORMATS[name](PREDICTIONS, CLASSES))
        assert path.read_bytes().decode(errors="surrogateescape") == expected
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        path.unlink()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("shown_as", FORMATS)
def test_standard_output_may_have_another_format_than_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shown_as: str
) -> None:
    predictions = [PREDICTIONS[0], PREDICTIONS[2]]
    write_predictions(iter(predictions), CLASSES, tmp_path / "x.json", shown_as, top_k=2)
    assert capsys.readouterr().out == "".join(FORMATS[shown_as](predictions, CLASSES, 2))
    assert (tmp_path / "x.json").read_text() == "".join(FORMATS["json"](predictions, CLASSES, 2))


def test_predictions_are_written_as_they_arrive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []

    def arrive() -> Iterator[Named]:
        for _ in range(3):
            printed.append(capsys.readouterr().out)
            yield PREDICTIONS[0]

    write_predictions(arrive(), CLASSES, tmp_path / "x.csv", "text")
    assert printed[2].startswith("a.png: dog")


def test_failed_prediction_leaves_the_old_file(tmp_path: Path) -> None:
    def fail() -> Iterator[Named]:
        yield PREDICTIONS[0]
        raise InputError("images[1]: is damaged")

    (tmp_path / "x.csv").write_text("old")
    with pytest.raises(InputError, match="is damaged"):
        write_predictions(fail(), CLASSES, tmp_path / "x.csv", None)
    assert (tmp_path / "x.csv").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


def test_file_that_cannot_be_written_is_named() -> None:
    with pytest.raises(InputError, match=r"output=/proc/x\.csv: .*; write to another file or disk"):
        write_predictions(iter(PREDICTIONS), CLASSES, Path("/proc/x.csv"), None)


def test_unusable_names_are_refused(tmp_path: Path) -> None:
    for name in ("x.txt", "x", ".csv"):
        with pytest.raises(InputError, match=r"must end in \.csv or \.json"):
            check_output(name)
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_output(str(tmp_path / "x.csv"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is not a folder"):
        check_output(str(tmp_path / "file/x.csv"))


def test_top_k_adds_classes_to_every_format(tmp_path: Path) -> None:
    text = "".join(FORMATS["text"](PREDICTIONS[:1], CLASSES, 2))
    assert text == "a.png: dog (60.0%), cat (30.0%)\n"
    first, second, blank = json.loads("".join(FORMATS["json"](PREDICTIONS, CLASSES, 2)))
    assert first["top"] == [{"class": "dog", "confidence": 0.6}, {"class": "cat", "confidence": 0.3}]
    assert second["top"][0] == {"class": second["class"], "confidence": second["confidence"]}
    assert blank["top"] == []
    for entry in (first, second, blank):
        del entry["top"]
    assert [first, second, blank] == json.loads("".join(FORMATS["json"](PREDICTIONS, CLASSES)))
    header, *rows = csv.reader("".join(FORMATS["csv"](PREDICTIONS, CLASSES, 3)).splitlines())
    assert header[-5:] == ["note", "class_2", "confidence_2", "class_3", "confidence_3"]
    assert [row[-4:] for row in rows] == [
        ["cat", "0.3", "eel", "0.1"],
        ["cat", "0.4", "dog", "0.1"],
        [""] * 4,
    ]
    plain = list(csv.reader("".join(FORMATS["csv"](PREDICTIONS, CLASSES)).splitlines()))
    assert [row[:-4] for row in [header, *rows]] == plain

"""Format predictions as text, JSON or CSV, and write them to standard output."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

Named = tuple[str, Prediction]  # the name of an image and its prediction


class Format(Protocol):
    """A function that formats predictions as parts of a text.

    It takes at most one prediction for each part that it yields.
    """

    def __call__(
        self, predictions: Iterable[Named], classes: Sequence[str], top_k: int | None = None
    ) -> Iterator[str]:
        """Yield the text.

        Args:
            predictions: The predictions.
            classes: Class names, by label.
            top_k: How many of the most likely classes to list; None for the first one only.
        """


def as_text(predictions: Iterable[Named], classes: Sequence[str], top_k: int | None = None) -> Iterator[str]:
    """Yield one line per image."""
    for name, prediction in predictions:
        if prediction.class_name is None:
            yield f"{printable(name)}: {prediction.note}\n"
        else:
            note = f", {prediction.note}" if prediction.note else ""
            answer = f"{printable(prediction.class_name)} ({prediction.confidence:.1%}{note})"
            others = "".join(f", {printable(c)} ({p:.1%})" for c, p in prediction.top(top_k or 1)[1:])
            yield f"{printable(name)}: {answer}{others}\n"


def as_json(predictions: Iterable[Named], classes: Sequence[str], top_k: int | None = None) -> Iterator[str]:
    """Yield a list of objects with image, class, confidence, probabilities, note and top, in ASCII.

    "top" lists class and confidence of the `top_k` most likely classes; without `top_k` it is left out.
    """
    yield "["
    for i, (name, prediction) in enumerate(predictions):
        entry: dict[str, object] = {
            "image": name,
            "class": prediction.class_name,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
            "note": prediction.note,
        }
        if top_k is not None:
            entry["top"] = [{"class": c, "confidence": p} for c, p in prediction.top(top_k)]
        yield f"{',' if i else ''}\n  {json.dumps(entry, allow_nan=False)}"
    yield "\n]\n"


def as_csv(predictions: Iterable[Named], classes: Sequence[str], top_k: int | None = None) -> Iterator[str]:
    """Yield one row per image: image, class, confidence, the probability of every class, and note.

    With `top_k`, class and confidence of the second, third, ... most likely class follow.
    """
    row = io.StringIO()
    writer = csv.writer(row, lineterminator="\n")

    def line(*values: object) -> str:
        row.seek(0)
        row.truncate()
        writer.writerow(values)
        return row.getvalue()

    more = range(2, (top_k or 1) + 1)
    places = [f"{column}_{place}" for place in more for column in ("class", "confidence")]
    yield line("image", "class", "confidence", *map(printable, classes), "note", *places)
    for name, prediction in predictions:
        shown = None if prediction.class_name is None else printable(prediction.class_name)
        probabilities = [prediction.probabilities.get(name) for name in classes]
        others: list[object] = (
            [cell for c, p in prediction.top(top_k)[1:] for cell in (printable(c), p)] if top_k else []
        )
        others += [None] * (len(places) - len(others))
        yield line(name, shown, prediction.confidence, *probabilities, prediction.note, *others)


FORMATS: dict[str, Format] = {"text": as_text, "json": as_json, "csv": as_csv}


def write_output(parts: Iterable[str]) -> None:
    """Write to standard output, and flush it.

    Raises:
        InputError: It cannot be written to, for example because the disk is full.
        BrokenPipeError: The reader has closed it.
    """
    for part in parts:
        _write(part)
    _write("", flush=True)


def _write(text: str, flush: bool = False) -> None:
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"standard output: {error.strerror}; write to another file or disk") from error

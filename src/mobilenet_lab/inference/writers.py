"""Format predictions as text, JSON or CSV, and write them to standard output."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

Format = Callable[[Iterable[tuple[str, Prediction]], Sequence[str]], Iterator[str]]


def as_text(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str]) -> Iterator[str]:
    """Yield one line per image."""
    for name, prediction in predictions:
        if prediction.class_name is None:
            yield f"{printable(name)}: {prediction.note}\n"
        else:
            note = f", {prediction.note}" if prediction.note else ""
            answer = f"{printable(prediction.class_name)} ({prediction.confidence:.1%}{note})"
            yield f"{printable(name)}: {answer}\n"


def as_json(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str]) -> Iterator[str]:
    """Yield a list of objects with image, class, confidence, probabilities and note, in ASCII."""
    yield "["
    for i, (name, prediction) in enumerate(predictions):
        entry = {
            "image": name,
            "class": prediction.class_name,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
            "note": prediction.note,
        }
        yield f"{',' if i else ''}\n  {json.dumps(entry)}"
    yield "\n]\n"


def as_csv(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str]) -> Iterator[str]:
    """Yield one row per image: image, class, confidence, the probability of every class, and note."""
    row = io.StringIO()
    writer = csv.writer(row, lineterminator="\n")

    def line(*values: object) -> str:
        row.seek(0)
        row.truncate()
        writer.writerow(values)
        return row.getvalue()

    yield line("image", "class", "confidence", *map(printable, classes), "note")
    for name, prediction in predictions:
        shown = None if prediction.class_name is None else printable(prediction.class_name)
        probabilities = [prediction.probabilities.get(name) for name in classes]
        yield line(name, shown, prediction.confidence, *probabilities, prediction.note)


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

"""Write predictions as text, JSON or CSV."""

import csv
import json
from collections.abc import Iterable, Sequence
from typing import IO

from mobilenet_lab.data.images import printable
from mobilenet_lab.inference.predictor import Prediction


def write_text(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """Write one line per image."""
    for name, prediction in predictions:
        out.write(f"{printable(name)}: {prediction.class_name} ({prediction.confidence:.1%})\n")


def write_json(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """Write a list of objects with image, class, confidence and probabilities."""
    out.write("[")
    for i, (name, prediction) in enumerate(predictions):
        entry = {
            "image": name,
            "class": prediction.class_name,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
        }
        out.write(f"{',' if i else ''}\n  {json.dumps(entry, allow_nan=False)}")
    out.write("\n]\n")


def write_csv(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """Write one row per image: image, class, confidence and the probability of every class."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "class", "confidence", *classes])
    for name, prediction in predictions:
        writer.writerow(
            [name, prediction.class_name, prediction.confidence, *prediction.probabilities.values()]
        )


WRITERS = {"text": write_text, "json": write_json, "csv": write_csv}

"""Name what images show, from a checkpoint alone: neither Lightning nor the training code is imported."""

import csv
import json
from collections.abc import Iterable, Sequence
from typing import IO

from mobilenet_lab.data.images import printable
from mobilenet_lab.inference.predictor import Prediction


def write_text(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """One line a image, for people."""
    for name, prediction in predictions:
        out.write(f"{printable(name)}: {prediction.class_name} ({prediction.confidence:.1%})\n")


def write_json(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """One list of objects with image, class, confidence and probabilities."""
    out.write("[")
    for i, (name, prediction) in enumerate(predictions):
        entry = {
            "image": name,
            "class": prediction.class_name,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
        }
        out.write(f"{',' if i else ''}\n  {json.dumps(entry)}")
    out.write("\n]\n")


def write_csv(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """One row a image: image, class, confidence, then every class's probability."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "class", "confidence", *classes])
    for name, prediction in predictions:
        writer.writerow(
            [name, prediction.class_name, prediction.confidence, *prediction.probabilities.values()]
        )


WRITERS = {"text": write_text, "json": write_json, "csv": write_csv}

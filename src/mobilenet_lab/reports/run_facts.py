"""What a report says about a run in words and numbers."""

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from mobilenet_lab.callbacks.lr_finder import LRFinderResult
from mobilenet_lab.reports.page import duration, size
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.quality import Quality

Rows = list[tuple[str, str]]  # label and text


DEFAULT_ROOT = "data"  # of data sets that are downloaded; evaluate.py finds them by their name
LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


@dataclass(frozen=True)
class RunRecord:
    """What is known about a finished run.

    Attributes:
        folder: The run folder.
        cfg: The configuration.
        result: The contents of result.json.
        epochs: Metrics of each epoch, as in `callbacks.history.EpochHistory.epochs`.
        facts: What was trained on what and where, by label: model, data, device.
        uses_gpu: Whether it was trained on a GPU.
        data_name: Name of the data set, a choice of the group `data`.
        split: The images that `quality` is about, "test" or "validation".
        quality: Statistics of the predictions for them; None without test and validation.
        range_test: Result of a learning-rate range test; None for other runs.
    """

    folder: RunFolder
    cfg: DictConfig
    result: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float]]
    facts: Mapping[str, str]
    uses_gpu: bool
    data_name: str
    split: str
    quality: Quality | None
    range_test: LRFinderResult | None = None


def accuracies(record: RunRecord) -> list[tuple[str, float, str]]:
    """Return label, value and a note of each known accuracy, test first."""
    known = (
        ("Test accuracy", record.result["test/accuracy"], _errors(record)),
        ("Validation accuracy", record.result["val/accuracy"], ""),
        ("Training accuracy", record.result["train/accuracy"], ""),
    )
    return [(label, value, note) for label, value, note in known if value is not None]


def _errors(record: RunRecord) -> str:
    """Return the number of wrong test predictions in words; empty without a test."""
    if record.quality is None or record.split != "test":
        return ""
    total = int(record.quality.confusion.sum())
    return f"{total - int(record.quality.confusion.trace()):,} of {total:,} wrong"


def numbers(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return label, value and a note of size and speed."""
    epochs = result["epochs"]
    return [
        ("Parameters", size(result["parameters"]), ""),
        ("MACs per image", size(result["macs"]), ""),
        ("Training speed", f"{result['images_per_second']:,.0f}", "images/s"),
        ("Training time", duration(result["total_seconds"]), f"{epochs} epoch{'s' if epochs != 1 else ''}"),
    ]


def notices(record: RunRecord) -> list[str]:
    """Return what a reader must know before comparing the numbers."""
    texts = []
    if record.result["stop_reason"]:
        texts.append(f"The run stopped early: {record.result['stop_reason']}")
    if record.cfg.resume:
        texts.append(f"The run was resumed from {record.cfg.resume}.")
    limits = {key: record.cfg.trainer[key] for key in LIMITS}
    # An integer 1 is one batch, and 0 skips the stage, which then has no accuracy.
    if short := [f"trainer.{key}={limit}" for key, limit in limits.items() if limit and str(limit) != "1.0"]:
        texts.append(f"The run used only some of the images: {', '.join(short)}.")
    if record.result["test/accuracy"] is None:
        about = "the validation images, with the weights after the last epoch"
        other = "" if record.quality is None else f" Tables and plots are about {about}."
        texts.append(f"The run has no test accuracy.{other}")
    return texts


def timing(record: RunRecord) -> Rows:
    """Return how long the run took and how fast it was."""
    result = record.result
    total = result["total_seconds"]
    rows = [("training and validation", duration(total))]
    if record.cfg.resume:
        rows.append(("since the run resumed", duration(result["fit_seconds"])))
    rows.append(("epochs", str(result["epochs"])))
    if result["epochs"]:
        rows.append(("per epoch", duration(total / result["epochs"])))
    rows.append(("training speed", f"{result['images_per_second']:,.0f} images/s, without validation"))
    return rows


def environment_facts(environment: Mapping[str, Any]) -> Rows:
    """Return machine and software; see `runtime.provenance.describe_environment`."""
    rows = [
        ("hardware", environment["hardware"]),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("Python", platform.python_version()),
        *environment["versions"].items(),
        ("commit", environment["commit"]),
        ("date", environment["date"]),
    ]
    return [(label, value) for label, value in rows if value != "unknown"]


def commands(record: RunRecord) -> Rows:
    """Return the commands that repeat and use the run."""
    rows = [("Repeat the run", record.result["command"])]
    if (evaluate := evaluate_command(record)) is not None:
        predict = f"python predict.py {shlex.quote(f'ckpt={record.folder}')} image=img.png"
        rows += [("Classify an image", predict), ("Evaluate", evaluate)]
    return rows


def evaluate_command(record: RunRecord) -> str | None:
    """Return the command that evaluates the checkpoint; None if the run keeps none."""
    if not record.result["checkpoint"]:
        return None
    arguments = [f"ckpt={record.folder}"]
    if record.split != "test":
        arguments.append("split=val")
    if record.cfg.data.root != DEFAULT_ROOT:
        arguments += [f"data={record.data_name}", f"data.root={record.cfg.data.root}"]
    return f"python evaluate.py {shlex.join(arguments)}"

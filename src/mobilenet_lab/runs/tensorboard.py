"""What a run writes for TensorBoard besides scalars."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from mobilenet_lab.runs.panels import Panels

# The page Custom Scalars: tags, or regular expressions of them, by chart. TensorBoard leaves out a chart
# without values.
CHARTS = {
    "training and validation": {
        "accuracy": ["train/accuracy", "val/accuracy"],
        "loss": ["train/loss", "val/loss"],
    },
    "training": {
        "learning rate": ["step/learning_rate", "step/backbone_learning_rate"],
        "gradient norm": ["step/gradient_norm"],
        "images per second": ["speed/images_per_second"],
        "share of time spent waiting for data": ["speed/data_wait"],
    },
    "classes and calibration": {
        "accuracy per class, validation": ["val_class_accuracy/.*"],
        "expected calibration error": ["(val|test)/calibration_error"],
    },
}
CURVE_ROWS = (
    "true_positive_counts",
    "false_positive_counts",
    "true_negative_counts",
    "false_negative_counts",
    "precision",
    "recall",
)
RESULTS = {  # columns of the page HParams, by key of result.json
    "val/accuracy": "result/val_accuracy",
    "test/accuracy": "result/test_accuracy",
    "parameters": "result/parameters",
    "macs": "result/macs",
    "images_per_second": "result/images_per_second",
    "total_seconds": "result/minutes",
}


def writers(trainer: Trainer) -> list[SummaryWriter]:
    """Return the writers of TensorBoard's event files; none on other ranks than the first."""
    loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return [logger.experiment for logger in loggers if trainer.is_global_zero]


def add_charts(trainer: Trainer) -> None:
    """Show related scalars on one chart, on the page Custom Scalars."""
    layout = {
        category: {name: ["Multiline", tags] for name, tags in charts.items()}
        for category, charts in CHARTS.items()
    }
    for writer in writers(trainer):
        writer.add_custom_scalars(layout)


def add_panels(writer: SummaryWriter, panels: Panels, step: int) -> None:
    """Write images and precision-recall curves.

    Args:
        writer: The writer.
        panels: What to write.
        step: The step to show them at.
    """
    for tag, image in panels.images.items():
        _add_summary(writer, _image_summary(tag, image), step)
    for tag, curve in panels.curves.items():
        rows: Any = dict(zip(CURVE_ROWS, curve, strict=True))
        writer.add_pr_curve_raw(tag, **rows, global_step=step, num_thresholds=curve.shape[1])


def _image_summary(tag: str, image: np.ndarray) -> Summary:
    """Encode an image in a third of the time that `SummaryWriter.add_image` takes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    height, width = image.shape[:2]
    encoded = Summary.Image(
        height=height,
        width=width,
        colorspace=1 if image.ndim == 2 else 3,
        encoded_image_string=buffer.getvalue(),
    )
    return Summary(value=[Summary.Value(tag=tag, image=encoded)])


def _add_summary(writer: SummaryWriter, summary: Any, step: int | None = None) -> None:
    assert writer.file_writer is not None
    writer.file_writer.add_summary(summary, step)


def log_hparams(trainer: Trainer, values: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Add the run to the table of the page HParams, in the run's own event file.

    `SummaryWriter.add_hparams` would write a second run. TensorBoard shows the columns of one run only, so
    all runs must have the same.

    Args:
        trainer: The trainer of the run.
        values: Hyperparameters, numbers and strings; the same keys for every run.
        result: Contents of result.json.
    """
    metrics = {tag: result[key] for key, tag in RESULTS.items() if result.get(key) is not None}
    if "result/minutes" in metrics:
        metrics["result/minutes"] /= 60
    for writer in writers(trainer):
        for tag, value in metrics.items():
            writer.add_scalar(tag, value, trainer.global_step)
        for summary in hparams(dict(values), dict.fromkeys(RESULTS.values(), 0)):  # type: ignore[no-untyped-call]
            _add_summary(writer, summary)
        writer.flush()

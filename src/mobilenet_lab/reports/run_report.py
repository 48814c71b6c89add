"""The report of a training run: report.html in its folder."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from mobilenet_lab.callbacks.lr_finder import LRFinderResult
from mobilenet_lab.config.defaults import changed_settings
from mobilenet_lab.reports.charts import curves, range_test, reliability
from mobilenet_lab.reports.classes import (
    HEADER_COLUMNS,
    class_rows,
    confusion_cells,
    confusion_image,
    frequent_pairs,
)
from mobilenet_lab.reports.images import image_url
from mobilenet_lab.reports.page import percent, write_page
from mobilenet_lab.reports.run_facts import (
    RunRecord,
    accuracies,
    commands,
    environment_facts,
    evaluate_command,
    notices,
    numbers,
    timing,
)
from mobilenet_lab.runs.class_labels import shortened
from mobilenet_lab.runs.quality import Quality
from mobilenet_lab.runtime.provenance import describe_environment

MAX_EPOCHS = 200  # in the table of values
MAX_MISTAKES = 24
EPOCH_COLUMNS = ("train/loss", "val/loss", "train/accuracy", "val/accuracy")
PACKAGES = ("torch", "lightning", "hydra-core", "torchmetrics", "numpy", "pillow")


def write_run_report(record: RunRecord) -> None:
    """Write report.html into the folder of a finished run."""
    environment = describe_environment(record.cfg.num_threads, record.uses_gpu, PACKAGES)
    known = accuracies(record)
    values = {
        "title": f"{record.cfg.model.network} on {record.data_name}",
        "headline": f"{percent(known[0][1])} {known[0][0].lower()}" if known else "Training run",
        "accuracies": known,
        "numbers": numbers(record.result),
        "notices": notices(record),
        "run_facts": [*record.facts.items(), ("folder", str(record.folder))],
        **_curve_values(record),
        **_range_test_values(record.range_test),
        **_quality_values(record),
        "changes": changed_settings(record.cfg),
        "config": OmegaConf.to_yaml(record.cfg, resolve=True),
        "timing": timing(record),
        "environment": environment,
        "environment_facts": environment_facts(environment),
        "command_rows": commands(record),
    }
    write_page(record.folder.report, "run.html", **values, sections=_sections(values))


def _curve_values(record: RunRecord) -> dict[str, Any]:
    shown = record.epochs[-MAX_EPOCHS:]
    return {
        "curves": curves(record.epochs),
        "epoch_rows": shown,
        "epoch_columns": [key for key in EPOCH_COLUMNS if any(key in row for row in shown)],
        "is_shortened": len(shown) < len(record.epochs),
    }


def _range_test_values(result: LRFinderResult | None) -> dict[str, Any]:
    if result is None or not result.rates:
        return {"range_test": None}
    if result.suggestion is None:
        suggestion = "The loss did not fall, so no rate is suggested."
    else:
        suggestion = f"Suggested: optimizer.lr={result.suggestion:.2g}"
    return {
        "range_test": range_test(result.rates, result.losses, result.suggestion),
        "suggestion": suggestion,
    }


def _quality_values(record: RunRecord) -> dict[str, Any]:
    quality = record.quality
    if quality is None:
        return {"quality": None, "mistakes": [], "reliability": None}
    cells = confusion_cells(quality)
    names = [shortened(name) for name in quality.classes] if cells else []
    return {
        "quality": quality,
        "split": record.split,
        "image_count": int(quality.confusion.sum()),
        "class_count": len(quality.classes),
        "short_names": names,
        "is_rotated": any(len(name) > HEADER_COLUMNS for name in names),
        "cells": cells,
        "matrix_image": None if cells else confusion_image(quality),
        "pairs": None if cells else frequent_pairs(quality),
        "classes": class_rows(quality),
        "evaluate": evaluate_command(record),
        "mistakes": _mistakes(quality),
        "reliability": reliability(quality.calibration) if quality.calibration.counts.sum() else None,
    }


def _mistakes(quality: Quality) -> list[dict[str, Any]]:
    return [
        {
            "url": image_url(mistake.image),
            "label": quality.classes[mistake.label],
            "prediction": quality.classes[mistake.prediction],
            "confidence": mistake.confidence,
        }
        for mistake in quality.mistakes[:MAX_MISTAKES]
    ]


def _sections(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return id and title of the sections that the page has."""
    sections = (
        ("run", "Run", True),
        ("curves", "Curves", values["curves"]),
        ("range-test", "Range test", values["range_test"]),
        ("confusion", "Confusion matrix", values["quality"]),
        ("mistakes", "Worst mistakes", values["mistakes"]),
        ("classes", "Classes", values["quality"]),
        ("calibration", "Calibration", values["reliability"]),
        ("configuration", "Configuration", True),
        ("timing", "Time", True),
        ("environment", "Environment", True),
        ("commands", "Commands", True),
    )
    return [(id_, title) for id_, title, is_shown in sections if is_shown]

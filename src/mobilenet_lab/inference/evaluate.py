"""Run evaluate.py's configuration: measure checkpoints on a split of a data set."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mobilenet_lab.inference.classifier import open_classifier
from mobilenet_lab.inference.ensemble import Ensemble, as_classify, with_tta_shifts
from mobilenet_lab.inference.evaluation_data import data_config, open_source, open_subset
from mobilenet_lab.inference.measure import accuracy_of, format_report, measure, summarize_confusion
from mobilenet_lab.inference.writers import write_output
from mobilenet_lab.runtime.malloc import configure_malloc


def evaluate(cfg: DictConfig, checkpoints: Sequence[Path]) -> dict[str, Any]:
    """Print accuracy, accuracy per class and the confusion matrix.

    Args:
        cfg: A checked configuration.
        checkpoints: The files that `cfg.ckpt` refers to.

    Returns:
        The contents of the JSON output.

    Raises:
        InputError: A checkpoint cannot be used, or does not match the data.
        FileNotFoundError: The data set does not exist.
    """
    configure_malloc()
    ensemble = open_classifier(checkpoints, cfg.accelerator)
    classify = as_classify(ensemble)
    data = data_config(cfg, ensemble.data[0])
    source = open_source(data, ensemble)
    measure_subset = partial(
        measure,
        subset=open_subset(cfg.split, source, data, ensemble),
        batch_size=min(data.eval_batch_size, ensemble.max_batch),
        num_classes=len(ensemble.classes),
        num_workers=data.num_workers,
        pin_memory=isinstance(ensemble, Ensemble) and ensemble.device.type == "cuda",
    )
    paths = [str(path) for path in ensemble.paths]
    result: dict[str, Any] = {
        "checkpoint": paths[0] if len(paths) == 1 else paths,
        "data": source.name,
        "split": cfg.split,
        **summarize_confusion(measure_subset(classify), ensemble.classes),
    }
    if cfg.tta_shifts:
        result["tta"] = {
            "pixels": cfg.tta_shifts,
            "views": (2 * cfg.tta_shifts + 1) ** 2,
            "accuracy": accuracy_of(measure_subset(with_tta_shifts(classify, cfg.tta_shifts))),
        }
    report = json.dumps(result, allow_nan=False) if cfg.format == "json" else format_report(result)
    write_output([report, "\n"])
    return result

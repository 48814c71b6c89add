"""Measure a checkpoint on a part of a data set; imports no Lightning, as it needs none."""

import json
import logging
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from mobilenet_lab.checkpoints.locate import find_checkpoints
from mobilenet_lab.data.datasets.base import DatasetSource
from mobilenet_lab.data.splits import SPLIT_KEYS, split_dataset
from mobilenet_lab.inference.ensemble import Ensemble, with_tta_shifts
from mobilenet_lab.inference.measure import accuracy_of, format_report, measure, summarise
from mobilenet_lab.runtime.devices import pick_device
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.malloc import configure_malloc

log = logging.getLogger(__name__)
# What of a data configuration an evaluation goes by; all else is as in training.
USED_KEYS = (
    "root",
    "source._target_",
    "source.on_corrupt_image",
    "on_corrupt_image",
    "eval_batch_size",
    "num_workers",
)


def evaluate(cfg: DictConfig, conf: Path) -> dict[str, Any]:
    """Run evaluate.py's configuration and print accuracy, each class's, and the confusion matrix.

    Args:
        cfg: A checked configuration.
        conf: The folder of configurations, for the data set that the checkpoint names.

    Returns:
        What `format=json` prints.

    Raises:
        InputError: checkpoint and data do not fit each other.
        FileNotFoundError: checkpoint or data are missing.
    """
    configure_malloc()
    paths = find_checkpoints(cfg.ckpt)
    ensemble = Ensemble(paths, pick_device(cfg.accelerator))
    trained_on, classes = ensemble.data[0], ensemble.classes
    data = cfg.data if cfg.get("data") else _data_of(trained_on, conf)
    # A folder's images are decoded as in training, whatever the configuration says.
    as_trained = {"size": trained_on["native_size"], "channels": ensemble.channels}
    as_trained["fit"] = trained_on["fit"]
    decoding = {key: value for key, value in as_trained.items() if key in data.source}
    source: DatasetSource = instantiate(data.source, root=data.root)(**decoding)
    source.prepare()
    if len(source.classes) != len(classes):
        raise InputError(
            f"{paths[0]} names {len(classes)} classes, but the data set has {len(source.classes)}: "
            "choose the data that it was trained on"
        )
    if source.classes != classes:
        log.warning("The classes have other names than in training: %s", ", ".join(source.classes))
    given = _given_keys()
    is_divided = not (cfg.split in ("val", "test") and source.has_split(cfg.split))
    for key in SPLIT_KEYS:
        if is_divided and source.name == trained_on["name"] and f"data.{key}" not in given:
            data[key] = trained_on[key]
    used = {f"data.{key}" for key in (*USED_KEYS, *SPLIT_KEYS)}
    if ignored := [key for key in given if key.startswith("data.") and key not in used]:
        log.warning("%s: not used, as images are prepared as in training", ", ".join(ignored))
    parts = split_dataset(source, **{key: data[key] for key in SPLIT_KEYS})
    if is_divided:
        for path, member in zip(paths, ensemble.data, strict=True):
            if source.name == member["name"]:
                _warn_of_other_split(data, len(parts["train"].dataset), member, path)
    if not len(parts[cfg.split]):
        raise InputError(f"split={cfg.split}: the data set has no such images")
    result: dict[str, Any] = {
        "checkpoint": str(paths[0]) if len(paths) == 1 else [str(path) for path in paths],
        "data": source.name,
        "split": cfg.split,
    }
    on_gpu = ensemble.device.type == "cuda"
    read = (parts[cfg.split], data.eval_batch_size, len(classes), data.num_workers, on_gpu)
    result |= summarise(measure(ensemble, *read), classes)
    if cfg.tta_shifts:
        shifted = measure(with_tta_shifts(ensemble, cfg.tta_shifts), *read)
        result["tta"] = {
            "pixels": cfg.tta_shifts,
            "views": (2 * cfg.tta_shifts + 1) ** 2,
            "accuracy": accuracy_of(shifted),
        }
    print(json.dumps(result) if cfg.format == "json" else format_report(result))
    return result


def _given_keys() -> list[str]:
    """What the command line sets."""
    if not HydraConfig.initialized():
        return []
    return [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]


def _warn_of_other_split(data: DictConfig, num_images: int, trained_on: dict[str, Any], path: Path) -> None:
    other = {key: trained_on[key] for key in SPLIT_KEYS if trained_on[key] != data[key]}
    if other:
        settings = " ".join(f"data.{key}={value}" for key, value in other.items())
        log.warning("These are not the parts of the training run of %s: that had %s", path, settings)
    if trained_on.get("images", num_images) != num_images:
        log.warning(
            "These are not the parts of the training run of %s: that divided %s images, here are %s",
            path,
            f"{trained_on['images']:,}",
            f"{num_images:,}",
        )


def _data_of(trained_on: dict[str, Any], conf: Path) -> DictConfig:
    """The configuration of the data set that a checkpoint names, one of our own files."""
    name = trained_on["name"]
    choices = sorted(file.stem for file in (conf / "data").glob("*.yaml"))
    if name not in choices:
        raise InputError(f"the checkpoint was trained on {name!r}: choose data={'|'.join(choices)}")
    data: DictConfig = compose("evaluate", overrides=[f"data={name}"]).data
    if data.root is None:
        raise InputError(f"the checkpoint was trained on {name}: say where, data={name} data.root=...")
    return data

"""Measure a checkpoint on a part of a data set; imports no Lightning, as it needs none."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from mobilenet_lab.allocator import keep_pages
from mobilenet_lab.checkpoint import find_checkpoints
from mobilenet_lab.confusion import count_confusions
from mobilenet_lab.data.batches import SPLIT_KEYS, Part, Source, batch_loader, split_parts
from mobilenet_lab.data.order import BatchSampler
from mobilenet_lab.devices import pick_device
from mobilenet_lab.ensemble import Classify, Ensemble, with_shifts
from mobilenet_lab.errors import InputError

log = logging.getLogger(__name__)

# What of a data configuration an evaluation goes by; all else is as in training.
USED_KEYS = (
    "root",
    "source._target_",
    "source.on_bad_image",
    "on_bad_image",
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
    keep_pages()
    paths = find_checkpoints(cfg.ckpt)
    ensemble = Ensemble(paths, pick_device(cfg.accelerator))
    trained_on, classes = ensemble.data[0], ensemble.classes
    data = cfg.data if cfg.get("data") else _data_of(trained_on, conf)
    # A folder's pictures are decoded as in training, whatever the configuration says.
    as_trained = {"size": trained_on["picture_size"], "channels": ensemble.channels}
    as_trained["fit"] = trained_on["fit"]
    decoding = {key: value for key, value in as_trained.items() if key in data.source}
    source: Source = instantiate(data.source, root=data.root)(**decoding)
    source.prepare()
    if len(source.classes) != len(classes):
        raise InputError(
            f"{paths[0]} names {len(classes)} classes, but the data set has {len(source.classes)}: "
            "choose the data that it was trained on"
        )
    if source.classes != classes:
        log.warning("The classes have other names than in training: %s", ", ".join(source.classes))
    given = _given_keys()
    is_divided = not (cfg.split in ("val", "test") and source.has_part(cfg.split))
    for key in SPLIT_KEYS:
        if is_divided and source.name == trained_on["name"] and f"data.{key}" not in given:
            data[key] = trained_on[key]
    used = {f"data.{key}" for key in (*USED_KEYS, *SPLIT_KEYS)}
    if ignored := [key for key in given if key.startswith("data.") and key not in used]:
        log.warning("%s: not used, as pictures are prepared as in training", ", ".join(ignored))
    parts = split_parts(source, **{key: data[key] for key in SPLIT_KEYS})
    if is_divided:
        for path, member in zip(paths, ensemble.data, strict=True):
            if source.name == member["name"]:
                _warn_of_other_split(data, len(parts["train"].pictures), member, path)
    if not len(parts[cfg.split]):
        raise InputError(f"split={cfg.split}: the data set has no such pictures")
    result: dict[str, Any] = {
        "checkpoint": str(paths[0]) if len(paths) == 1 else [str(path) for path in paths],
        "data": source.name,
        "split": cfg.split,
    }
    on_gpu = ensemble.device.type == "cuda"
    read = (parts[cfg.split], data.eval_batch_size, len(classes), data.num_workers, on_gpu)
    result |= summarise(measure(ensemble, *read), classes)
    if cfg.shifts:
        shifted = measure(with_shifts(ensemble, cfg.shifts), *read)
        result["with_shifts"] = {
            "pixels": cfg.shifts,
            "views": (2 * cfg.shifts + 1) ** 2,
            "accuracy": accuracy_of(shifted),
        }
    print(json.dumps(result) if cfg.format == "json" else as_text(result))
    return result


@torch.inference_mode()
def measure(
    classify: Classify,
    part: Part,
    batch_size: int,
    num_classes: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Tensor:
    """The confusion matrix over a part: rows are labels, columns predictions.

    Args:
        classify: From pictures as read to logits, on any device.
        part: The pictures.
        batch_size: How many at once.
        num_classes: Number of classes.
        num_workers: Processes that read ahead.
        pin_memory: Whether batches are read for a GPU.

    Returns:
        Counts, int64, shape (number of classes, number of classes), on the CPU.
    """
    confusion = None
    sampler = BatchSampler(part.split, batch_size, shuffle=False)
    for batch in batch_loader(part.pictures, sampler, num_workers, pin_memory):
        logits = classify(batch["images"])
        if confusion is None:
            confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=logits.device)
        count_confusions(confusion, logits, batch["labels"].to(logits.device, non_blocking=True))
    assert confusion is not None
    return confusion.cpu()


def accuracy_of(confusion: Tensor) -> float:
    """The share of the pictures that is on the diagonal."""
    return int(confusion.diagonal().sum()) / int(confusion.sum())


def summarise(confusion: Tensor, classes: list[str]) -> dict[str, Any]:
    """Accuracy as fractions, overall and of each class, and the confusion matrix as lists."""
    counts: list[int] = confusion.sum(dim=1).tolist()
    correct: list[int] = confusion.diagonal().tolist()
    return {
        "pictures": sum(counts),
        "accuracy": accuracy_of(confusion),
        "class_accuracy": {
            name: right / count if count else None
            for name, right, count in zip(classes, correct, counts, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def as_text(result: dict[str, Any]) -> str:
    """The result as lines for people."""
    names = list(result["class_accuracy"])
    width = max(6, *(len(name) + 2 for name in names), len(f"{result['pictures']:,}"))
    label_width = max(map(len, names)) + 2
    where = result["checkpoint"]
    what = where if isinstance(where, str) else f"mean of {len(where)} checkpoints"
    lines = [
        f"{what} on {result['data']}, {result['split']}: "
        f"accuracy {result['accuracy']:.4f} of {result['pictures']:,} pictures"
    ]
    if shifted := result.get("with_shifts"):
        lines.append(
            f"mean over {shifted['views']} shifts of up to {shifted['pixels']} pixels: "
            f"accuracy {shifted['accuracy']:.4f}"
        )
    lines += ["", "class accuracies"]
    for name, accuracy in result["class_accuracy"].items():
        lines.append(f"{name:>{label_width}}  {'no pictures' if accuracy is None else f'{accuracy:.4f}'}")
    lines += ["", "confusion matrix: a row for each true class, a column for each predicted one"]
    lines.append(" " * label_width + "".join(f"{name:>{width}}" for name in names))
    for name, row in zip(names, result["confusion"], strict=True):
        lines.append(f"{name:>{label_width}}" + "".join(f"{count:>{width}}" for count in row))
    return "\n".join(lines)


def _given_keys() -> list[str]:
    """What the command line sets."""
    if not HydraConfig.initialized():
        return []
    return [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]


def _warn_of_other_split(data: DictConfig, num_pictures: int, trained_on: dict[str, Any], path: Path) -> None:
    other = {key: trained_on[key] for key in SPLIT_KEYS if trained_on[key] != data[key]}
    if other:
        settings = " ".join(f"data.{key}={value}" for key, value in other.items())
        log.warning("These are not the parts of the training run of %s: that had %s", path, settings)
    if trained_on.get("pictures", num_pictures) != num_pictures:
        log.warning(
            "These are not the parts of the training run of %s: that divided %s pictures, here are %s",
            path,
            f"{trained_on['pictures']:,}",
            f"{num_pictures:,}",
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

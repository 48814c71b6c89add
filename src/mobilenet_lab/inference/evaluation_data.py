"""Choose the images of an evaluation, and read them the way the checkpoint was trained."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from mobilenet_lab.checkpoints.imagenet import IMAGENET
from mobilenet_lab.config.nested import shown
from mobilenet_lab.data.datasets.base import DatasetSource
from mobilenet_lab.data.datasets.relabeled import RelabeledDataset
from mobilenet_lab.data.splits import SPLIT_KEYS, STAGES, Subset, resolve_split, split_dataset, split_settings
from mobilenet_lab.inference.classifier import Classifier
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
# The keys of `data` that an evaluation uses. Everything else is taken from the checkpoint.
USED_KEYS = {*SPLIT_KEYS, "root", "on_corrupt_image", "eval_batch_size", "num_workers"}
USED_KEYS |= {"source._target_", "source.classes", "source.on_empty_class", "source.decoder"}


def data_config(cfg: DictConfig, trained_on: dict[str, Any]) -> DictConfig:
    """Return the data configuration of the command line, or else of the data set the checkpoint names.

    Raises:
        InputError: There is no configuration for that data set, or its folder is unknown.
    """
    if cfg.get("data"):
        return cfg.data
    name = trained_on["name"]
    choices = GlobalHydra.instance().config_loader().get_group_options("data")
    if name == IMAGENET:
        raise InputError(
            "data: ImageNet's images are not downloaded; add data=image_folder data.root=<a folder per class>"
        )
    if name not in choices:
        raise InputError(
            f"data: the checkpoint was trained on {name!r}, which is not in conf/data; "
            f"choose data={'|'.join(choices)}"
        )
    data: DictConfig = compose("evaluate", overrides=[f"data={name}"]).data
    if data.root is None:
        raise InputError(
            f"data.root: the checkpoint was trained on {name}, but its folder is not known; "
            f"add data={name} data.root=..."
        )
    return data


def open_source(data: DictConfig, ensemble: Classifier) -> DatasetSource:
    """Open the data set with the image format of the training run.

    Raises:
        InputError: The classes do not fit those of the checkpoint.
    """
    trained_on = ensemble.data[0]
    image_format = {
        "size": trained_on["native_size"],
        "margin": 0.0,  # the native size includes it
        "channels": ensemble.channels,
        "fit": trained_on["fit"],
    }
    overrides = {key: value for key, value in image_format.items() if key in data.source}
    source: DatasetSource = instantiate(data.source, root=data.root)(**overrides)
    source.prepare()
    if source.name == trained_on["name"] and data.source.get("classes", "") is None:
        # Without names, labels are positions in the checkpoint's list.
        source = instantiate(data.source, root=data.root)(**overrides, classes=ensemble.classes)
    if new_labels(source, ensemble) is None and source.classes != ensemble.classes:
        log.warning("class names differ from those in training: %s", printable(", ".join(source.classes)))
    return source


def new_labels(source: DatasetSource, ensemble: Classifier) -> np.ndarray | None:
    """Return the checkpoint's label for each label of a data set, by class name.

    Returns:
        int64, shape (C,); None if the labels stay as they are. They also stay if no name is the same, as for
        digits and kinds of clothing.

    Raises:
        InputError: Some names are the same and others are not, or the number of classes differs.
    """
    theirs, ours = source.classes, ensemble.classes
    if theirs == ours:
        return None
    known = set(ours)
    if unknown := [name for name in theirs if name not in known]:
        if len(unknown) == len(theirs) == len(ours):
            return None
        raise InputError(
            f"data={source.name}: has {len(theirs)} classes, but {ensemble.paths[0]} has {len(ours)}, and "
            f"not {printable(unknown[0])}; choose the data it was trained on"
        )
    labels = {name: label for label, name in enumerate(ours)}
    return np.array([labels[name] for name in theirs], np.int64)


def open_subset(split: str, source: DatasetSource, data: DictConfig, ensemble: Classifier) -> Subset:
    """Split the data set as in training, unless the command line says otherwise, and return one subset.

    Raises:
        InputError: The subset is empty.
    """
    given = _given_keys()
    if ignored := [key for key in given if key.startswith("data.") and key[5:] not in USED_KEYS]:
        log.warning("%s: ignored, because evaluation prepares images as in training", ", ".join(ignored))
    trained_on = ensemble.data[0]
    is_own_split = split in ("val", "test") and source.has_split(split)
    if not is_own_split and source.name == trained_on["name"]:
        before = split_settings(trained_on)
        data = data.copy()
        OmegaConf.set_struct(data, False)  # a data file need not have all keys
        data.update({key: value for key, value in before.items() if f"data.{key}" not in given})
    elif is_own_split and f"data.{split}_split" in given:
        log.warning(
            "data.%s_split=%s: ignored, because the data set has its own %s images",
            split,
            data[f"{split}_split"],
            STAGES[split],
        )
    settings = {key: data[key] for key in (*SPLIT_KEYS, "on_corrupt_image") if key in data}
    subsets = split_dataset(source, **settings)
    if not is_own_split:
        num_images = len(subsets["train"].dataset)
        for path, member in zip(ensemble.paths, ensemble.data, strict=True):
            if source.name == member["name"]:
                _warn_of_other_split(path, member, data, num_images)
    if not len(subsets[split]):
        raise InputError(f"split={split}: the data set has no such images; choose another split")
    return _relabel(subsets[split], new_labels(source, ensemble))


def _relabel(subset: Subset, labels: np.ndarray | None) -> Subset:
    return subset if labels is None else replace(subset, dataset=RelabeledDataset(subset.dataset, labels))


def _given_keys() -> list[str]:
    """Return the keys that are set on the command line."""
    if not HydraConfig.initialized():
        return []
    return [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]


def _warn_of_other_split(path: Path, trained_on: dict[str, Any], data: DictConfig, num_images: int) -> None:
    """Warn if the images are not split as in training, so that some may have been used for training."""
    now = {**data, "split": resolve_split(data.split, trained_on["name"])}
    before = split_settings(trained_on)
    other = [f"data.{key}={shown(value)}" for key, value in before.items() if value != now[key]]
    if other:
        log.warning(
            "%s was trained with another split (%s); these images may have been used for training",
            path,
            " ".join(other),
        )
    if trained_on.get("images", num_images) != num_images:
        log.warning(
            "%s was trained when the data set had %s images, now it has %s; these images may have been used "
            "for training",
            path,
            f"{trained_on['images']:,}",
            f"{num_images:,}",
        )

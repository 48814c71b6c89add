"""Choose the images of an evaluation, and read them the way the checkpoint was trained."""

import logging
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from mobilenet_lab.data.datasets.base import DatasetSource
from mobilenet_lab.data.splits import SPLIT_KEYS, Subset, split_dataset
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
# The keys of `data` that an evaluation uses. Everything else is taken from the checkpoint.
USED_KEYS = (*SPLIT_KEYS, "root", "source._target_", "on_corrupt_image", "eval_batch_size", "num_workers")


def data_config(cfg: DictConfig, trained_on: dict[str, Any]) -> DictConfig:
    """Return the data configuration of the command line, or else of the data set the checkpoint names.

    Raises:
        InputError: There is no configuration for that data set, or its folder is unknown.
    """
    if cfg.get("data"):
        return cfg.data
    name = trained_on["name"]
    choices = GlobalHydra.instance().config_loader().get_group_options("data")
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


def open_source(data: DictConfig, ensemble: Ensemble) -> DatasetSource:
    """Open the data set with the image format of the training run.

    Raises:
        InputError: The number of classes differs.
    """
    trained_on, classes = ensemble.data[0], ensemble.classes
    image_format = {
        "size": trained_on["native_size"],
        "channels": ensemble.channels,
        "fit": trained_on["fit"],
    }
    overrides = {key: value for key, value in image_format.items() if key in data.source}
    source: DatasetSource = instantiate(data.source, root=data.root)(**overrides)
    source.prepare()
    if len(source.classes) != len(classes):
        raise InputError(
            f"data={source.name}: has {len(source.classes)} classes, but {ensemble.paths[0]} has "
            f"{len(classes)}; choose the data it was trained on"
        )
    if source.classes != classes:
        names = ", ".join(map(printable, source.classes))
        log.warning("class names differ from those in training: %s", names)
    return source


def open_subset(split: str, source: DatasetSource, data: DictConfig, ensemble: Ensemble) -> Subset:
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
        data.update({key: trained_on[key] for key in SPLIT_KEYS if f"data.{key}" not in given})
    settings = {key: data[key] for key in (*SPLIT_KEYS, "on_corrupt_image") if key in data}
    subsets = split_dataset(source, **settings)
    if not is_own_split:
        num_images = len(subsets["train"].dataset)
        for path, member in zip(ensemble.paths, ensemble.data, strict=True):
            if source.name == member["name"]:
                _warn_of_other_split(path, member, data, num_images)
    if not len(subsets[split]):
        raise InputError(f"split={split}: the data set has no such images; choose another split")
    return subsets[split]


def _given_keys() -> list[str]:
    """Return the keys that are set on the command line."""
    if not HydraConfig.initialized():
        return []
    return [override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task]


def _warn_of_other_split(path: Path, trained_on: dict[str, Any], data: DictConfig, num_images: int) -> None:
    """Warn if the images are not split as in training, so that some may have been used for training."""
    other = [f"data.{key}={trained_on[key]}" for key in SPLIT_KEYS if trained_on[key] != data[key]]
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

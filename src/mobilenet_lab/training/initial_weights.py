"""The setting `model.weights`: the weights that a run starts from."""

import logging
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mobilenet_lab.checkpoints.imagenet import IMAGENET
from mobilenet_lab.checkpoints.locate import find_weights
from mobilenet_lab.checkpoints.pretrained import load_pretrained
from mobilenet_lab.config.nested import shown
from mobilenet_lab.runs.folder import LATEST, RunFolder
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.settings_diff import saved_settings

log = logging.getLogger(__name__)

WEIGHTS = "weights"  # key of the group `model` that is no argument of the network
KEY = f"model.{WEIGHTS}"
LATEST_RUN = "latest"


def network_settings(cfg: DictConfig) -> dict[str, Any]:
    """Return name and arguments of the network: the group `model` without the weights to start from."""
    model: Any = OmegaConf.to_container(cfg.model, resolve=True)
    return {key: value for key, value in model.items() if key != WEIGHTS}


def network_arguments(cfg: DictConfig) -> dict[str, Any]:
    """Return the arguments of the network's class."""
    return {key: value for key, value in network_settings(cfg).items() if key != "network"}


def follows_latest(weights: str | None) -> bool:
    """Return whether a value of `model.weights` leads to the newest run, which another run will replace."""
    if weights is None or weights == IMAGENET:
        return False
    path = Path(os.path.normpath(Path(weights).absolute()))
    return weights == LATEST_RUN or LATEST.absolute() in (path, *path.parents)


def load_initial_weights(cfg: DictConfig, model: ImageClassifier) -> None:
    """Load the weights that a new run starts from, if it has any.

    Every rank loads them. On each machine, one downloads them for the others.

    Raises:
        FileNotFoundError: The file does not exist.
        InputError: It cannot be read, or the weights do not fit.
    """
    weights = cfg.model.get(WEIGHTS)
    if weights is None:
        return
    if follows_latest(weights):  # to this run, soon; other ranks, and readers of config.yaml, need the file
        weights = cfg.model[WEIGHTS] = str(find_weights(weights, KEY))
    load_pretrained(model.network, weights, model.hparams["classes"], KEY)


def keep_initial_weights(cfg: DictConfig, run: RunFolder) -> None:
    """Let the configuration of a resumed run say what its first start has loaded: nothing is loaded again."""
    before = saved_settings(run)
    if before is None or WEIGHTS not in cfg.model:
        return
    given, loaded = cfg.model[WEIGHTS], before.get(KEY)
    if given not in (None, loaded) and not follows_latest(given):
        log.warning("%s=%s is ignored: the resumed run started from %s", KEY, given, shown(loaded))
    cfg.model[WEIGHTS] = loaded

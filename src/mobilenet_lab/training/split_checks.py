"""Warn of settings of the splits that have no effect, or that mix training and validation images."""

import logging
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only

from mobilenet_lab.checkpoints.state import hyper_parameters
from mobilenet_lab.config.nested import shown
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.splits import STAGES, split_settings
from mobilenet_lab.runtime.invocation import command_line_overrides

log = logging.getLogger(__name__)


def warn_of_ignored_splits(datamodule: ImageDataModule) -> None:
    """Warn if the command line sets the size of a split that the data set comes with."""
    given = dict(override.partition("=")[::2] for override in command_line_overrides())
    for name in ("val", "test"):
        key = f"data.{name}_split"
        if key in given and datamodule.source.has_split(name):
            rank_zero_only(log.warning)(
                "%s=%s: ignored, because the data set has its own %s images", key, given[key], STAGES[name]
            )


def warn_of_mixed_splits(path: Path, checkpoint: dict[str, Any], datamodule: ImageDataModule) -> None:
    """Warn if a resumed run does not split the data set as before.

    Args:
        path: The checkpoint that the run resumes from.
        checkpoint: Its contents.
        datamodule: The open data of the resumed run.
    """
    source = datamodule.source
    theirs, ours = hyper_parameters(checkpoint)["data"], datamodule.describe()["data"]
    if theirs["name"] != ours["name"]:
        return
    keys = [f"{name}_split" for name in ("val", "test") if not source.has_split(name)]
    keys += ["split", "split_seed"] if keys else []
    before, now = split_settings(theirs), split_settings(ours)
    changed = [key for key in keys if key in before and before[key] != now[key]]
    if changed:
        rank_zero_only(log.warning)(
            "resume=%s: the checkpoint was trained with %s, this run has %s; training, validation and test "
            "images mix, so their accuracy is too high; use the earlier values",
            path,
            " ".join(f"data.{key}={shown(before[key])}" for key in changed),
            " ".join(f"data.{key}={shown(now[key])}" for key in changed),
        )

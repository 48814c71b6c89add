"""Keep Lightning's advertising and irrelevant warnings out of the output."""

import logging
import warnings

from lightning_utilities.core.rank_zero import rank_zero_only

from mobilenet_lab.runtime.lightning_internals import hide_tensorflow_from_tensorboard

IRRELEVANT_WARNINGS = (
    ".*does not have many workers.*",  # reading by batch index needs none
    ".*smaller than the logging interval.*",
    ".*dataloader is not resumable.*",  # the datamodule restores the position itself
    ".*You defined a `validation_step` but have no `val_dataloader`.*",
    ".*Total length of `list` across ranks is zero.*",
    ".*GPU available but not used.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's use of a deprecated PyTorch function
)


def configure_logging() -> None:
    """Silence Lightning below warnings, other ranks below errors, and the irrelevant warnings."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        logging.getLogger("mobilenet_lab").setLevel(logging.ERROR)  # rank 0 logs for all ranks
    hide_tensorflow_from_tensorboard()
    for message in IRRELEVANT_WARNINGS:
        warnings.filterwarnings("ignore", message)

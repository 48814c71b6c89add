"""One training run: from a checked configuration to a run folder with weights and results."""

import logging
import sys
import types
import warnings

from lightning_utilities.core.rank_zero import rank_zero_only


def configure_logging() -> None:
    """Leave out what Lightning prints about itself, and warnings that do not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        logging.getLogger("mobilenet_lab").setLevel(logging.ERROR)  # the first rank says what all would say
    # TensorBoard's writer would import all of TensorFlow where it is installed, and takes this for "do not".
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    for message in (
        ".*does not have many workers.*",  # reading by batch index needs none
        ".*smaller than the logging interval.*",
        ".*Experiment logs directory .* exists and is not empty.*",
        ".*dataloader is not resumable.*",  # the datamodule starts the order where the run stopped
        ".*The dirpath has changed from .*",  # a resumed run has a folder of its own
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*You defined a `validation_step` but have no `val_dataloader`.*",
        ".*Total length of `list` across ranks is zero.*",
        ".*GPU available but not used.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",  # inside Lightning, about PyTorch's internals
    ):
        warnings.filterwarnings("ignore", message)

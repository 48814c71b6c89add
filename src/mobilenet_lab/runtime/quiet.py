"""Keep Lightning's advertising and irrelevant warnings out of the output."""

import logging
import warnings

from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning_utilities.core.rank_zero import rank_zero_only

from mobilenet_lab.runtime.lightning_internals import hide_tensorflow_from_tensorboard

# The beginning of each message as a regular expression, and its category. Nothing else is silenced: a warning
# that the user's own code causes is shown.
IRRELEVANT_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # Reading by batch index needs no workers, and the data module restores the position in the epoch itself.
    ("The '.*' does not have many workers", PossibleUserWarning),
    ("You're resuming from a checkpoint that ended before the epoch ended", PossibleUserWarning),
    # Runs without validation images, and short runs
    ("You defined a `validation_step` but have no `val_dataloader`", PossibleUserWarning),
    ("Total length of `list` across ranks is zero", UserWarning),
    ("The number of training batches .* is smaller than the logging interval", PossibleUserWarning),
    # What the machine has, but the run does not use
    ("GPU available but not used", PossibleUserWarning),
    ("The `srun` command is available on your system but is not used", PossibleUserWarning),
    # Lightning's use of a deprecated PyTorch function
    (r".*isinstance\(treespec, LeafSpec\)", FutureWarning),
)


def configure_logging() -> None:
    """Silence Lightning below warnings, other ranks below errors, and the irrelevant warnings."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        logging.getLogger("mobilenet_lab").setLevel(logging.ERROR)  # rank 0 logs for all ranks
    hide_tensorflow_from_tensorboard()
    for message, category in IRRELEVANT_WARNINGS:
        warnings.filterwarnings("ignore", message, category)

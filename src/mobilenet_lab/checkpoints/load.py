"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import logging
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

from mobilenet_lab.checkpoints.untrusted import MAX_GROWTH, check_values, checked_copy
from mobilenet_lab.runs.folder import PREVIOUS
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)
REQUIRED_KEYS = ("state_dict", "hyper_parameters", "epoch", "global_step")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project.

    Raises:
        InputError: it is damaged, holds anything but plain values and tensors, or is another program's.
    """
    import torch

    try:
        checkpoint = torch.load(checked_copy(path), map_location="cpu", weights_only=True)
        check_values(checkpoint, MAX_GROWTH * path.stat().st_size)
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        OverflowError,
        struct.error,
    ) as error:
        # PyTorch's own words would advise to switch the protection off.
        raise InputError(
            f"{path}: no checkpoint, a damaged one, or one that holds more than plain values and tensors"
        ) from error
    missing = [key for key in REQUIRED_KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise InputError(f"{path}: not a checkpoint of this project, it lacks {', '.join(missing)}")
    return checkpoint


def load_with_fallback(path: Path) -> tuple[dict[str, Any], Path]:
    """Read a checkpoint to go on from; where it is damaged, the one that was last before it.

    Returns:
        The checkpoint, and the file that it came from.

    Raises:
        InputError: neither can be read.
    """
    try:
        return load_checkpoint(path), path
    except InputError as error:
        previous = path.with_name(PREVIOUS)
        if path.name == PREVIOUS or not previous.is_file():
            raise
        log.warning("%s; going on from the one before it, %s", error, previous)
        return load_checkpoint(previous), previous

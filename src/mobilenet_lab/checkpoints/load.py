"""Read a checkpoint that may be untrusted."""

import logging
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from mobilenet_lab.checkpoints.state import REQUIRED_KEYS
from mobilenet_lab.checkpoints.untrusted import MAX_GROWTH, check_values, checked_copy
from mobilenet_lab.runs.folder import PREVIOUS
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)

# What the standard library and PyTorch raise for damaged archives and pickles
READ_ERRORS = (
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
)


def read_plain_values(path: Path, copy: Callable[[Path], IO[bytes]] = checked_copy) -> Any:
    """Read plain values and tensors that `torch.save` wrote into main memory.

    Args:
        path: The file. It may be untrusted.
        copy: Checks it and returns the bytes that were checked.

    Raises:
        READ_ERRORS: The file is damaged or holds anything else. The text of an error is not for users, as
            PyTorch advises to turn the protection off.
    """
    import torch

    contents = torch.load(copy(path), map_location="cpu", weights_only=True)
    check_values(contents, MAX_GROWTH * path.stat().st_size)
    return contents


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project into main memory.

    Returns:
        Its contents; `checkpoints.state` describes the keys.

    Raises:
        InputError: The file is damaged, holds anything but plain values and tensors, or belongs to another
            program.
    """
    try:
        checkpoint = read_plain_values(path)
    except READ_ERRORS as error:
        raise InputError(
            f"{path}: not a checkpoint, damaged, or not only plain values and tensors; use another checkpoint"
        ) from error
    missing = [key for key in REQUIRED_KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise InputError(
            f"{path}: not a checkpoint of this project, lacks {', '.join(missing)}; use another one"
        )
    return checkpoint


def load_with_fallback(path: Path) -> tuple[dict[str, Any], Path]:
    """Read a checkpoint to resume from, or the previous one if it is damaged.

    Returns:
        The contents, and the file they come from.

    Raises:
        InputError: Neither file can be read.
    """
    try:
        return load_checkpoint(path), path
    except InputError as error:
        previous = path.with_name(PREVIOUS)
        if path.name == PREVIOUS or not previous.is_file():
            raise
        log.warning("%s; resuming from the previous checkpoint, %s", error, previous)
        return load_checkpoint(previous), previous

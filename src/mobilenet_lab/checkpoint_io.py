"""Checkpoints are written so that a loss of power at any moment leaves a whole one behind."""

import contextlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mobilenet_lab.checkpoint import PREVIOUS, load_checkpoint
from mobilenet_lab.errors import InputError

KEPT = "last.ckpt"  # of this one the version before is kept, too


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a file beside the old one, brings it onto the disk, and only then gives it its name.

    Lightning's own leaves it to the operating system when the bytes reach the disk, so that after a loss of
    power the name may stand for an empty file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            InputError: the folder cannot be written to, or the disk is full; what was there before is intact.
        """
        path = Path(path)
        scratch = path.with_name(f".{path.name}.tmp")
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(content.getbuffer())
            sync(scratch)
            if path.name == KEPT and path.exists():
                path.replace(path.with_name(PREVIOUS))
            scratch.replace(path)
            sync(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):  # where the folder is the trouble, the first error tells
                scratch.unlink(missing_ok=True)
            raise InputError(
                f"{path}: the checkpoint cannot be written: {error.strerror}; those before it are intact"
            ) from error

    def load_checkpoint(self, path: str | os.PathLike[str], *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint into main memory, with all that `checkpoint.load_checkpoint` checks."""
        return load_checkpoint(Path(path))


def copy_durably(old: Path, new: Path) -> None:
    """Let `new` be a copy of `old`, or stay as it is where that fails."""
    new.parent.mkdir(parents=True, exist_ok=True)
    scratch = new.with_name(f".{new.name}.tmp")
    shutil.copyfile(old, scratch)
    sync(scratch)
    scratch.replace(new)
    sync(new.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

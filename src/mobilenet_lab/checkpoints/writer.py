"""Checkpoints are written so that a loss of power at any moment leaves a whole one behind."""

import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.runs.folder import LAST, PREVIOUS
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.errors import InputError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints durably, and of last.ckpt keeps the one before it, too.

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
        content = io.BytesIO()
        torch.save(checkpoint, content)
        keep = path.with_name(PREVIOUS) if path.name == LAST else None
        try:
            write_atomically(path, lambda scratch: scratch.write_bytes(content.getbuffer()), keep)
        except OSError as error:
            raise InputError(
                f"{path}: the checkpoint cannot be written: {error.strerror}; those before it are intact"
            ) from error

    def load_checkpoint(self, path: str | os.PathLike[str], *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint into main memory, with all that `checkpoint.load_checkpoint` checks."""
        return load_checkpoint(Path(path))


def copy_atomically(old: Path, new: Path, keep: Path | None = None) -> None:
    """Let `new` be a copy of `old`, or stay as it is where that fails; `keep` as in `write_atomically`."""
    write_atomically(new, lambda scratch: shutil.copyfile(old, scratch), keep)

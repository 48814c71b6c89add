"""Write checkpoints atomically: after a loss of power, the file has either its old or its new contents."""

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
    """Lightning plugin that writes checkpoints atomically and keeps the previous `last.ckpt`.

    Lightning's own plugin leaves it to the operating system when the bytes reach the disk. After a loss of
    power, the name may stand for an empty file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            InputError: The folder is not writable, or the disk is full; earlier checkpoints are intact.
        """
        path = Path(path)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        keep = path.with_name(PREVIOUS) if path.name == LAST else None
        try:
            write_atomically(path, lambda scratch: scratch.write_bytes(content.getbuffer()), keep)
        except OSError as error:
            raise InputError(
                f"{path}: cannot write the checkpoint: {error.strerror}; earlier checkpoints are intact"
            ) from error

    def load_checkpoint(self, path: str | os.PathLike[str], *_: Any, **__: Any) -> dict[str, Any]:
        """Read and check a checkpoint; see `load.load_checkpoint`."""
        return load_checkpoint(Path(path))


def copy_atomically(old: Path, new: Path, keep: Path | None = None) -> None:
    """Copy a file atomically; `keep` as in `write_atomically`."""
    write_atomically(new, lambda scratch: shutil.copyfile(old, scratch), keep)

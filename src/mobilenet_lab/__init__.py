"""MobileNetV2 experiments with PyTorch Lightning and Hydra.

The names below are imported on first use, so that scripts can check a configuration before PyTorch is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobilenet_lab.checkpoints.pretrained import load_pretrained
    from mobilenet_lab.data.datamodule import ImageDataModule
    from mobilenet_lab.inference.predictor import Predictor
    from mobilenet_lab.models.mobilenet_v2 import MobileNetV2
    from mobilenet_lab.tasks.classification import ImageClassifier

__all__ = ["ImageClassifier", "ImageDataModule", "MobileNetV2", "Predictor", "load_pretrained"]

_MODULES = {
    "ImageClassifier": "mobilenet_lab.tasks.classification",
    "ImageDataModule": "mobilenet_lab.data.datamodule",
    "MobileNetV2": "mobilenet_lab.models.mobilenet_v2",
    "Predictor": "mobilenet_lab.inference.predictor",
    "load_pretrained": "mobilenet_lab.checkpoints.pretrained",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

"""MobileNetV2 experiments with Lightning and Hydra.

Nothing heavy is imported until it is asked for, so that the scripts can check a configuration first.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobilenet_lab.inference.predictor import Predictor
    from mobilenet_lab.models.mobilenet_v2 import MobileNetV2

__all__ = ["MobileNetV2", "Predictor"]


def __getattr__(name: str) -> Any:
    if name == "MobileNetV2":
        from mobilenet_lab.models.mobilenet_v2 import MobileNetV2

        return MobileNetV2
    if name == "Predictor":
        from mobilenet_lab.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

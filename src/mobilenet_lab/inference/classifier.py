"""What prediction needs of trained networks, whichever library computes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

MAX_BATCH_PIXELS = 1 << 24  # 250 images of 224 x 224 have 12.5 million


@runtime_checkable
class Classifier(Protocol):
    """One or several trained networks that are ready to use: `Ensemble` and `OnnxEnsemble`.

    Attributes:
        paths: The files of the networks.
        classes: Class names, indexed by label.
        data: The data set of each network; see `ImageDataModule.describe`.
        channels: Channels of the images that the networks take.
    """

    paths: list[Path]
    classes: list[str]
    data: list[dict[str, Any]]
    channels: int

    @property
    def max_batch(self) -> int:
        """Largest number of images to classify as one batch."""

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of each class; of several networks, their mean.

        Args:
            images: uint8, shape (N, channels, H, W), as read from the data set.

        Returns:
            float32, shape (N, num_classes).
        """


def open_classifier(paths: Sequence[Path], accelerator: str = "cpu", fuse_bn: bool = False) -> Classifier:
    """Open checkpoints with PyTorch.

    Args:
        paths: Files of networks that were trained on the same data.
        accelerator: "cpu", "gpu", or "auto" for a GPU if there is one.
        fuse_bn: Whether to fuse batch normalization into convolutions; see `models.fuse`.

    Raises:
        InputError: There is no file, one cannot be used, the networks do not go together, or there is no GPU.
    """
    # Imported here, because they import PyTorch.
    from mobilenet_lab.inference.ensemble import Ensemble
    from mobilenet_lab.runtime.devices import pick_device

    return Ensemble(paths, pick_device(accelerator), fuse_bn)

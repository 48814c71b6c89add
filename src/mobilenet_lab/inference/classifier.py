"""What prediction needs of trained networks, whichever library computes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mobilenet_lab.checkpoints.locate import is_onnx
from mobilenet_lab.runtime.errors import InputError

MAX_BATCH_PIXELS = 1 << 24  # 250 images of 224 x 224 have 12.5 million


@runtime_checkable
class Classifier(Protocol):
    """One or several trained networks that are ready to use: `Ensemble` and `OnnxEnsemble`.

    Attributes:
        paths: The files of the networks.
        classes: Class names, indexed by label.
        data: The data set of each network; see `ImageDataModule.describe`.
        channels: Channels of the images that the networks take.
        visible_side: Side of the centered square of an image that at least one of the networks sees, in
            pixels of the image as read.
    """

    paths: list[Path]
    classes: list[str]
    data: list[dict[str, Any]]
    channels: int
    visible_side: int

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
    """Open ONNX files with onnxruntime, or checkpoints with PyTorch.

    Args:
        paths: Files of networks that were trained on the same data, all of one kind.
        accelerator: "cpu", "gpu", or "auto" for a GPU if there is one. ONNX files run on the CPU.
        fuse_bn: Whether to fuse batch normalization into convolutions; see `models.fuse`. In ONNX files it
            is fused.

    Raises:
        InputError: There is no file, one cannot be used, the networks do not go together, or there is no GPU
            or no library to run them.
    """
    onnx_files = [path for path in paths if is_onnx(path)]
    if not onnx_files:
        return _open_checkpoints(paths, accelerator, fuse_bn)
    if len(onnx_files) < len(paths):
        raise InputError(
            f"ckpt: has ONNX files and checkpoints, for example {onnx_files[0]}; use one kind, or export the "
            "checkpoints with export.py"
        )
    if accelerator == "gpu":
        raise InputError("accelerator=gpu: ONNX files run on the CPU; use accelerator=cpu, or a checkpoint")
    from mobilenet_lab.inference.onnx_ensemble import OnnxEnsemble

    return OnnxEnsemble(paths)


def _open_checkpoints(paths: Sequence[Path], accelerator: str, fuse_bn: bool) -> Classifier:
    try:
        import torch  # noqa: F401 - the modules below need it
    except ModuleNotFoundError as error:
        names = ", ".join(map(str, paths))
        raise InputError(
            f"ckpt={names}: needs PyTorch, which is not installed; install it, or use an ONNX file"
        ) from error
    from mobilenet_lab.inference.ensemble import Ensemble
    from mobilenet_lab.runtime.devices import pick_device

    return Ensemble(paths, pick_device(accelerator), fuse_bn)

"""Trained networks as one module that other runtimes can run: bytes in, probabilities out."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.inference.model_metadata import ModelMetadata

NETWORKS = "networks"  # attribute of `Deployable`; names of nodes in an ONNX file begin with it
DESCRIBED = ("name", "native_size", "mnist_style", "fit")  # of the data set, in the metadata


class Deployable(nn.Module):
    """One or several trained networks with their preprocessing and a softmax.

    BatchNorm is fused into the convolutions. The layers are PyTorch's, because those of `models.cpu_layers`
    choose an implementation by the batch size, which cannot be exported.

    Args:
        paths: Checkpoint files. Several networks answer with their mean probability.
        channels: Channels of the images, 1 or 3; None for as many as the networks take.

    Attributes:
        metadata: Classes, preprocessing and data set. The preprocessing is that of the first network.
        input_shape: Shape of one image: channels, height, width.

    Raises:
        InputError: A checkpoint cannot be used, or the networks do not go together.
    """

    def __init__(self, paths: Sequence[Path], channels: int | None = None) -> None:
        super().__init__()
        ensemble = Ensemble(paths, torch.device("cpu"), fuse_bn=True, cpu_layers=False)
        data, size = ensemble.data[0], ensemble.data[0]["native_size"]
        self.input_shape = (channels or ensemble.channels, size, size)
        self.networks = nn.ModuleList(network for network, _ in ensemble.members)
        self.preprocessings = nn.ModuleList(
            ExportablePreprocessing(preprocessing, size) for _, preprocessing in ensemble.members
        )
        self.metadata = ModelMetadata(
            classes=ensemble.classes,
            preprocessing=ensemble.members[0][1].arguments(),
            data={key: data[key] for key in DESCRIBED},
        )
        self.eval()
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            images: uint8, shape (N, *input_shape).

        Returns:
            Probabilities, float32, shape (N, num_classes).
        """
        members = zip(self.networks, self.preprocessings, strict=True)
        answers = [network(prepare(images)).softmax(dim=1) for network, prepare in members]
        return answers[0] if len(answers) == 1 else torch.stack(answers).mean(dim=0)

    def example(self, batch_size: int) -> Tensor:
        """Return random images, uint8, shape (batch_size, *input_shape)."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (batch_size, *self.input_shape), dtype=torch.uint8, generator=generator)


class ExportablePreprocessing(Preprocessing):
    """Preprocessing in operations that every runtime computes alike.

    Runtimes weight pixels differently when they scale images: normalized pixels of ONNX Runtime's `Resize`
    differ from PyTorch's by up to 3e-5. Each output row and column is a fixed weighted mean of input rows
    and columns, so this class multiplies by the matrices of these weights: the difference is 7e-7.

    Args:
        original: The preprocessing of the training run.
        native_size: Side of the images in pixels.
    """

    _weights: Tensor

    def __init__(self, original: Preprocessing, native_size: int) -> None:
        super().__init__(**original.arguments())
        identity = torch.eye(native_size)[None, None]  # (1, 1, native_size, native_size)
        shape, antialias = (self.image_size, native_size), self.image_size < native_size
        weights = F.interpolate(identity, shape, mode="bilinear", align_corners=False, antialias=antialias)
        self.register_buffer("_weights", weights[0, 0], persistent=False)  # (image_size, native_size)

    def _interpolate(self, pixels: Tensor) -> Tensor:
        return self._weights @ pixels @ self._weights.t()

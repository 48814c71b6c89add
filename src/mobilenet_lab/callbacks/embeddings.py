"""Record the features of test images for TensorBoard's projector."""

import logging
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.projector import write_projector
from mobilenet_lab.tasks.worst_mistakes import as_arrays, denormalize

log = logging.getLogger(__name__)


class EmbeddingRecorder:
    """Records the input of the last linear layer for the first images of a test.

    A network without such a layer, or whose layer does not see each image as one row, gives a warning.

    Args:
        size: Number of images.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._features: list[Tensor] = []
        self._images: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._hook: Any = None

    def start(self, module: LightningModule) -> None:
        """Begin to record what the network computes."""
        self._features, self._images, self._labels = [], [], []
        layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        if layers:
            self._hook = layers[-1].register_forward_pre_hook(self._record)

    def note(self, batch: tuple[Tensor, Tensor]) -> None:
        """Keep images and labels of a batch, until there are enough."""
        if self._count(self._images) < self.size:
            images, labels = batch
            self._images.append(images)
            self._labels.append(labels)

    def write(self, run: RunFolder, module: LightningModule) -> None:
        """Stop, and write the files that the projector reads.

        Args:
            run: The run folder.
            module: The module, for the names of its classes.
        """
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        if not self._has_row_per_image():
            log.warning(
                "callbacks.dashboard.embeddings=%d is ignored: the network has no last linear "
                "layer that sees each image as one row",
                self.size,
            )
            return
        features, images, labels = (
            torch.cat(tensors)[: self.size] for tensors in (self._features, self._images, self._labels)
        )
        classes = module.hparams["classes"]
        write_projector(
            run,
            features.float().cpu().numpy(),
            [classes[label] for label in labels.tolist()],
            as_arrays(denormalize(images, module.hparams["preprocessing"])),
        )

    def _has_row_per_image(self) -> bool:
        is_flat = bool(self._features) and all(features.ndim == 2 for features in self._features)
        return is_flat and list(map(len, self._features)) == list(map(len, self._images))

    def _record(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._count(self._features) < self.size:
            self._features.append(inputs[0].detach())

    def _count(self, tensors: list[Tensor]) -> int:
        return sum(map(len, tensors))

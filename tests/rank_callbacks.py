"""Callbacks that make runs of several ranks comparable, or record what they do."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn


class FreezeNorms(Callback):
    """Fixes the statistics of BatchNorm to those of noise, so that an image's output depends on no other."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        noise = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        for module in self._norms(pl_module):
            module.momentum = 1.0
        with torch.no_grad():
            pl_module.network(noise)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        for module in self._norms(pl_module):
            module.eval()

    def _norms(self, pl_module: LightningModule) -> list[nn.BatchNorm2d]:
        return [module for module in pl_module.modules() if isinstance(module, nn.BatchNorm2d)]


class DoublePrecision(Callback):
    """Trains in float64, so that rounding differences between one rank and several stay tiny."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        pl_module.double()
        pl_module.network.register_forward_pre_hook(lambda network, images: images[0].double())


class RecordImages(Callback):
    """Records the images that each rank reads, as digests of their pixels.

    Args:
        folder: The folder of the files, one JSON file per rank.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: dict[str, list[str]] = {}
        self.confusions: dict[str, int] = {}

    def _note(self, stage: str, batch: Any) -> None:
        digests = [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in batch[0]]
        self.seen.setdefault(stage, []).extend(digests)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._note(f"train {trainer.current_epoch}", batch)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._note(f"val {trainer.current_epoch}", batch)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._note("test", batch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seen = {"images": self.seen, "confusion": int(pl_module.test_quality.confusion.sum())}
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{trainer.global_rank}.json").write_text(json.dumps(seen))


class WriteWeights(Callback):
    """Writes the parameters of each rank at the start and at the end of training.

    Args:
        folder: The folder of the files, <world size>-<rank>-start.pt and <world size>-<rank>.pt.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def _write(self, trainer: Trainer, pl_module: LightningModule, suffix: str = "") -> None:
        self.folder.mkdir(exist_ok=True)
        weights = {name: parameter.detach() for name, parameter in pl_module.named_parameters()}
        torch.save(weights, self.folder / f"{trainer.world_size}-{trainer.global_rank}{suffix}.pt")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module, "-start")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module)

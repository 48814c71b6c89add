"""The LightningDataModule: parts of a data set as batches, prepared on the device that trains."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from mobilenet_lab.data.cache import InMemoryDataset, choose_cache, load_all
from mobilenet_lab.data.datasets.base import Batch, DatasetSource
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import Subset, split_dataset
from mobilenet_lab.data.transforms.mixup import Mixing
from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.runtime.errors import InputError

OTHER_SEEDS = 0x85EBCA6B  # odd: a permutation of all seeds of 32 bits


class ImageDataModule(LightningDataModule):
    """Reads labelled images batch by batch, and prepares whole batches after their transfer.

    Args:
        source: Opens the data set below a folder.
        root: That folder.
        augmentation: Changes training images, with a `generator` of randomness; see `data.augmentation`.
        mixing: Mixes training images with each other; see `data.mixing`.
        channels, image_size, resize, mean, std: See `data.preprocessing.Preprocessing`.
        batch_size: Training images in a batch of one device.
        eval_batch_size: Likewise for validation and test.
        val_split, test_split, split_seed, max_train_samples: See `data.batches.split_dataset`.
        num_workers: Processes that read ahead; 0 reads in the training process.
        cache: Where the images lie: "mmap", "memory", "device", or "auto"; see `data.cache`.
        seed: Together with the epoch it determines order and augmentation.
        on_corrupt_image: What folders' sources do about files that cannot be decoded. They take it from the
            configuration; it stands here for `data.on_corrupt_image` to be a key of every such data set.
    """

    def __init__(
        self,
        source: Callable[..., DatasetSource],
        root: str,
        augmentation: Callable[..., Tensor],
        mixing: Mixing,
        channels: int,
        image_size: int,
        resize: str,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        batch_size: int,
        eval_batch_size: int,
        val_split: float,
        test_split: float | None,
        split_seed: int,
        max_train_samples: int | None,
        num_workers: int,
        cache: str,
        seed: int,
        on_corrupt_image: str = "error",
    ) -> None:
        super().__init__()
        self.source = source(root=root)
        self.augmentation = augmentation
        self.mixing = mixing
        self.preprocessing = Preprocessing(image_size, channels, mean, std, resize)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.cache = cache
        self.seed = seed
        self._split = partial(
            split_dataset,
            val_split=val_split,
            test_split=test_split,
            split_seed=split_seed,
            max_train_samples=max_train_samples,
        )
        self.parts: dict[str, Subset] = {}
        self._resident: dict[int, InMemoryDataset] = {}  # by the identity of the images that they copy
        self._resumed = (0, 0)  # epoch and batch to begin with

    def prepare_data(self) -> None:
        """Fetch the data set where it is missing."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Open the files and divide them into parts."""
        if not self.parts:
            self.parts = self._split(self.source)
            self._num_classes = len(self.source.classes)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the current epoch's order; after a resume, from where the epoch stopped."""
        loader = self._loader("train", self.batch_size, shuffle=True)
        assert isinstance(loader.sampler, BatchSampler)
        epoch, batch = self._resumed
        loader.sampler.set_epoch(epoch)  # Lightning does so, too, but later than workers read ahead
        loader.sampler.start_at(epoch, batch)
        return loader

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Each held-out image once; no loader where none is held out."""
        return self._loader("val", self.eval_batch_size) if len(self.parts["val"]) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Each test image once."""
        return self._loader("test", self.eval_batch_size)

    def state_dict(self) -> dict[str, int]:
        """The position in the order of training, and what the order depends on."""
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        batch = 0 if progress.is_last_batch else progress.current.processed  # type: ignore[attr-defined]
        return {"epoch": self.trainer.current_epoch, "batch": batch, **self._order()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Let training go on from a position.

        Raises:
            InputError: it is in the middle of an epoch whose order was another.
        """
        # At the end of an epoch the position is that epoch's, with no batch of the next.
        self._resumed = (state_dict["epoch"] + (state_dict["batch"] == 0), state_dict["batch"])
        for key, value in self._order().items():
            if state_dict["batch"] and state_dict[key] != value:
                raise InputError(
                    f"resume: the checkpoint is in the middle of an epoch with {key} {state_dict[key]}, "
                    f"not {value}"
                )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Turn bytes into what the network sees, on the device.

        Returns:
            Images, float32, shape (N, channels, image_size, image_size), and labels, int64, shape (N,),
            or where images were mixed the probability of each class, shape (N, number of classes).
        """
        images, labels = batch["images"], batch["labels"]
        if self.trainer is None or not self.trainer.training:
            return self.preprocessing(images), labels
        generator = Generator(images.device)
        generator.manual_seed(batch["seed"])
        _seed_global_generators(batch["seed"], images.device)
        images = self.preprocessing(images, partial(self.augmentation, generator=generator))
        return self.mixing(images, labels, self._num_classes, generator)

    def _order(self) -> dict[str, int]:
        assert self.trainer is not None
        return {
            "seed": self.seed,
            "global batch size": self.batch_size * self.trainer.world_size,
            "training images": len(self.parts["train"]),
        }

    def _loader(self, name: str, batch_size: int, shuffle: bool = False) -> DataLoader[Batch]:
        trainer = self.trainer
        sampler = BatchSampler(
            self.parts[name].split,
            batch_size,
            seed=self.seed,
            shuffle=shuffle,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        device = trainer.strategy.root_device if trainer else torch.device("cpu")
        dataset = self.parts[name].dataset
        # Training and validation are parts of the same images, most often.
        resident = self._resident.get(id(dataset))
        if resident is None:
            cache = choose_cache(self.cache, dataset, device, self.num_workers)
            if cache == "mmap":
                return batch_loader(dataset, sampler, self.num_workers, pin_memory=device.type == "cuda")
            where = device if cache == "device" else torch.device("cpu")
            resident = self._resident[id(dataset)] = load_all(dataset, where, self.num_workers)
        pin_memory = device.type == "cuda" and not resident.images.is_cuda
        return batch_loader(resident, sampler, pin_memory=pin_memory)


def _seed_global_generators(seed: int, device: torch.device) -> None:
    """Let what a training step draws, dropout for one, depend on the step alone, not on those before it.

    So a run that goes on needs no generator's state. The seeds are others than the augmentation's.
    """
    seed = (seed * OTHER_SEEDS + 1) % (1 << 32)
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes a hundred times as long
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the one that others' code may draw from
    random.seed(seed)

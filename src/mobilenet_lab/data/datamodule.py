"""The LightningDataModule: subsets of a data set as batches, prepared on the training device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from mobilenet_lab.data.cache import InMemoryDataset, choose_cache, load_all
from mobilenet_lab.data.class_checks import checked_classes, warn_of_missing_classes
from mobilenet_lab.data.datasets.base import Batch, DatasetSource, ImageDataset
from mobilenet_lab.data.datasets.sources import make_source
from mobilenet_lab.data.disk_cache import keep_on_disk
from mobilenet_lab.data.epoch_order import SAMPLING, SHUFFLE, check_same_order, epoch_order
from mobilenet_lab.data.global_seed import seed_global_generators
from mobilenet_lab.data.limits import check_side
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.resize_modes import choose_resize
from mobilenet_lab.data.sampler import BatchSampler, RepeatingSampler
from mobilenet_lab.data.splits import Subset, resolve_split, split_dataset, stored_split
from mobilenet_lab.data.transforms.augmentation import Identity, takes_native_size
from mobilenet_lab.data.transforms.mixup import Mixing, NoMixing
from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.runtime.lightning_internals import batches_done


class ImageDataModule(LightningDataModule):
    """Reads labeled images batch by batch, and prepares whole batches on the training device.

    Args:
        source: A name in `datasets.sources.SOURCES`, a `DatasetSource`, or a function that returns one for a
            `root`.
        root: Folder of the data. Ignored if `source` is a `DatasetSource`.
        augmentation: Transform of training images; see `data.transforms.augmentation`. None for none.
        mixing: Mixes training images with each other; see `data.transforms.mixup`. None for none.
        channels, mean, std, resize: See `data.transforms.preprocessing.Preprocessing`. Mean and standard
            deviation default to those of MNIST.
        image_size: Side in pixels of the images that the network takes; None keeps the size of the data set.
        batch_size: Training images per batch and device.
        eval_batch_size: Validation and test images per batch and device.
        val_split, test_split, split, split_seed, max_train_samples, on_corrupt_image: See
            `splits.split_dataset`.
        sampling: Order of the training images, "shuffle" or "balanced"; see `epoch_order.epoch_order`.
        num_workers: Processes that read ahead; 0 reads in the training process.
        cache: Where images are kept; see `data.cache` and, for "disk", `data.disk_cache`.
        seed: Determines order and augmentation, together with the epoch.

    Attributes:
        subsets: "train", "val" and "test", after `setup`.
        preprocessing: The part of the preparation that prediction shares, after `setup`.
    """

    preprocessing: Preprocessing

    def __init__(
        self,
        source: str | DatasetSource | Callable[..., DatasetSource],
        root: str = "data",
        augmentation: Callable[..., Tensor] | None = None,
        mixing: Mixing | None = None,
        channels: int = 1,
        image_size: int | None = None,
        resize: str = "auto",
        mean: float | Sequence[float] = 0.1307,
        std: float | Sequence[float] = 0.3081,
        batch_size: int = 128,
        eval_batch_size: int = 250,
        val_split: float = 0.1,
        test_split: float | None = None,
        split: str = "auto",
        split_seed: int = 0,
        max_train_samples: int | None = None,
        sampling: str = SHUFFLE,
        num_workers: int = 0,
        cache: str = "auto",
        on_corrupt_image: str = "error",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source: DatasetSource = make_source(source, root)
        self.augmentation = augmentation or Identity()
        self.mixing = mixing or NoMixing()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.cache = cache
        self.seed = seed
        self.sampling = sampling
        self.subsets: dict[str, Subset] = {}
        self._image_size = image_size
        self._format: dict[str, Any] = {"channels": channels, "mean": mean, "std": std, "resize": resize}
        self._splits: dict[str, Any] = {
            "val_split": val_split,
            "test_split": test_split,
            "split": resolve_split(split, self.source.name),
            "split_seed": split_seed,
            "max_train_samples": max_train_samples,
        }
        self._on_corrupt_image = on_corrupt_image
        self._in_memory: dict[tuple[int, torch.device], InMemoryDataset] = {}
        self._start = (0, 0)  # epoch and batch

    def prepare_data(self) -> None:
        """Download the data set if it is missing."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Open the files and split the data set, once; "fit" also resets the position to the first batch."""
        if stage == "fit":
            self._start = (0, 0)  # a checkpoint's position is loaded after this hook
        if self.subsets:
            return
        native_size = self.source.native_size
        image_size = self._image_size or native_size
        check_side(native_size, f"data: {self.source.name}")
        check_side(image_size, f"data.image_size={image_size}")
        resize = choose_resize(self._format["resize"], self.source.fit, native_size, image_size)
        self.preprocessing = Preprocessing(image_size, **(self._format | {"resize": resize}))
        classes = checked_classes(self.source)
        self._num_classes = len(classes)
        self.subsets = split_dataset(self.source, **self._splits, on_corrupt_image=self._on_corrupt_image)
        warn_of_missing_classes(self.subsets, classes)
        if self.cache == "disk":
            self.subsets = keep_on_disk(self.subsets)

    def describe(self) -> dict[str, Any]:
        """Return what `ImageClassifier` stores in checkpoints about the images, as plain values.

        Returns:
            "classes" by label, "preprocessing" with the arguments of `Preprocessing`, and "data" with name,
            format and splits of the data set.
        """
        if not self.subsets:
            self.prepare_data()
            self.setup()
        return {
            "classes": self.source.classes,
            "preprocessing": self.preprocessing.arguments(),
            "data": {
                "name": self.source.name,
                "native_size": self.source.native_size,
                "mnist_style": self.source.mnist_style,
                "fit": self.source.fit,
                "images": len(self.subsets["train"].dataset),  # before the split
                **stored_split(self._splits),
            },
        }

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the current epoch; after a resume, those that remain."""
        loader = self._loader("train", self.batch_size, shuffle=True)
        assert isinstance(loader.sampler, BatchSampler)
        epoch, batch = self._start
        loader.sampler.set_epoch(epoch)  # Lightning does it too, but after workers have read ahead
        loader.sampler.start_at(epoch, batch)
        return loader

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return the validation images, each once; an empty list if there are none."""
        return self._loader("val", self.eval_batch_size) if len(self.subsets["val"]) else []

    def test_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return the test images, each once; an empty list if there are none."""
        return self._loader("test", self.eval_batch_size) if len(self.subsets["test"]) else []

    def predict_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return the test images, each once; `ImageClassifier` predicts their probabilities."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Convert a batch of bytes to the network's input, on the device.

        Returns:
            Images, float32, shape (N, channels, image_size, image_size), and labels, int64, shape (N,). If
            images were mixed, labels are the probability of each class, shape (N, num_classes).
        """
        images, labels = batch["images"], batch["labels"]
        if self.trainer is None or not self.trainer.training:
            return self.preprocessing(images), labels
        generator = Generator(images.device)
        generator.manual_seed(batch["seed"])
        seed_global_generators(batch["seed"], images.device)
        images = self.preprocessing.to_float(images)  # (N, C, H, W)
        if not takes_native_size(self.augmentation):
            images = self.preprocessing.resize(images)  # (N, C, image_size, image_size)
        images = self.augmentation(images, generator=generator)
        images = self.preprocessing.resize(images)  # changes nothing unless sizes differ still
        images = self.preprocessing.normalize(images)  # (N, channels, image_size, image_size)
        return self.mixing(images, labels, self._num_classes, generator)

    def state_dict(self) -> dict[str, int | str]:
        """Return the position in the epoch, and what the order of images depends on."""
        assert self.trainer is not None
        position = {"epoch": self.trainer.current_epoch, "batch": batches_done(self.trainer)}
        return position | self._order()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at a stored position.

        Raises:
            InputError: The position is within an epoch whose order was different.
        """
        # A position at the end of an epoch names that epoch, with batch 0.
        self._start = (state_dict["epoch"] + (state_dict["batch"] == 0), state_dict["batch"])
        if state_dict["batch"]:
            check_same_order(state_dict, self._order())

    def _order(self) -> dict[str, int | str]:
        assert self.trainer is not None
        return {
            "seed": self.seed,
            SAMPLING: self.sampling,
            "global batch size": self.batch_size * self.trainer.world_size,
            "training images": len(self.subsets["train"]),
        }

    def _loader(self, name: str, batch_size: int, shuffle: bool = False) -> DataLoader[Batch]:
        trainer, subset = self.trainer, self.subsets[name]
        # Trainer(overfit_batches=...) trains on the same batches in every epoch.
        sampler_class = RepeatingSampler if trainer and trainer.overfit_batches else BatchSampler  # type: ignore[attr-defined]
        sampler = sampler_class(
            subset.index_range,
            batch_size,
            seed=self.seed,
            shuffle=shuffle,
            order=epoch_order(self.sampling, subset) if shuffle else None,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        device = trainer.strategy.root_device if trainer else torch.device("cpu")
        self.preprocessing.to(device)
        in_memory = self._cached(subset.dataset, device)
        if in_memory is None:
            return batch_loader(subset.dataset, sampler, self.num_workers, pin_memory=device.type == "cuda")
        pin_memory = device.type == "cuda" and not in_memory.images.is_cuda
        return batch_loader(in_memory, sampler, pin_memory=pin_memory)

    def _cached(self, dataset: ImageDataset, device: torch.device) -> InMemoryDataset | None:
        """Load a data set into memory, once per training device; None if it stays on disk."""
        key = (id(dataset), device)  # training and validation subsets usually share a data set
        if key not in self._in_memory:
            cache = choose_cache(self.cache, dataset, device, self.num_workers)
            if cache in ("mmap", "disk"):
                return None
            target = device if cache == "device" else torch.device("cpu")
            self._in_memory[key] = load_all(dataset, target, self.num_workers)
        return self._in_memory[key]

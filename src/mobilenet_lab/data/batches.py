"""A data set's parts as loaders of whole batches, without Lightning.

A batch is the unit of reading: the sampler asks for a batch, the pictures answer with one read.
"""

import signal
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mobilenet_lab.data.order import CHUNK, BatchRequest, BatchSampler, Permutation, Split
from mobilenet_lab.errors import InputError

# The keys of a data configuration that decide which picture belongs to which part
SPLIT_KEYS = ("val_split", "test_split", "split_seed", "train_size")


class Batch(TypedDict):
    """A batch as read.

    `images` uint8, shape (N, C, H, W); `labels` int64, shape (N,); `seed` for its augmentation.
    """

    images: Tensor
    labels: Tensor
    seed: int


class Pictures(Protocol):
    """Labelled pictures that are read a batch at a time."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pictures, uint8, shape (n, C, H, W), and labels, int64, shape (n,)."""
        ...

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels alone, whole numbers, shape (n,)."""
        ...


class Source(Protocol):
    """A data set. To add one, write a class with these members and name it in conf/data."""

    @property
    def name(self) -> str:
        """The choice of the `data` group."""
        ...

    @property
    def classes(self) -> list[str]:
        """The classes' names, by label."""
        ...

    @property
    def picture_size(self) -> int:
        """Pixels of a picture's longer side, as read."""
        ...

    @property
    def digits(self) -> bool:
        """Whether the pictures are digits in MNIST's form."""
        ...

    def prepare(self) -> None:
        """Fetch what is missing."""
        ...

    def has_part(self, part: str) -> bool:
        """Whether the data set has pictures of its own for "val" or "test"."""
        ...

    def open(self, part: str) -> Pictures:
        """The pictures of "train", or of another part that it has."""
        ...


@dataclass(frozen=True)
class Part:
    """The pictures of a split."""

    pictures: Pictures
    split: Split

    def __len__(self) -> int:
        return len(self.split)

    def count_classes(self, num_classes: int) -> list[int]:
        """Pictures of each class, by label."""
        counts = np.zeros(num_classes, np.int64)
        for begin in range(0, len(self), CHUNK):
            positions = np.arange(begin, min(begin + CHUNK, len(self)))
            labels = self.pictures.read_labels(self.split(positions))
            counts += np.bincount(labels, minlength=num_classes)
        return counts.tolist()


def split_parts(
    source: Source,
    val_split: float,
    test_split: float | None,
    split_seed: int,
    train_size: int | None = None,
) -> dict[str, Part]:
    """Divide a source into the parts "train", "val" and "test"; those that it has itself stay as they are.

    Args:
        source: The data set.
        val_split: Share of the training pictures held out to validate: a fraction below 1, or a count.
        test_split: Likewise to test; None for a data set that has test pictures.
        split_seed: Which pictures are held out.
        train_size: Keep only so many training pictures.

    Raises:
        InputError: nothing would be left to train on.
    """
    pictures = source.open("train")
    total = len(pictures)
    permutation = Permutation(total, (split_seed,))
    num_test = 0 if test_split is None or source.has_part("test") else _count(test_split, total)
    num_val = 0 if source.has_part("val") else _count(val_split, total)
    num_train = total - num_val - num_test
    if num_train < 1:
        raise InputError(
            f"data.val_split={val_split}, data.test_split={test_split}: "
            f"leave nothing to train on of {total:,} pictures"
        )
    parts = {
        "val": Part(pictures, Split(0, num_val, permutation)),
        "train": Part(
            pictures,
            Split(num_val + num_test, min(num_train, train_size or num_train), permutation),
        ),
    }
    if test_split is not None:
        parts["test"] = Part(pictures, Split(num_val, num_test, permutation))
    for name in ("val", "test"):
        if source.has_part(name) or name not in parts:
            own = source.open(name)
            parts[name] = Part(own, Split(0, len(own)))
    return parts


class BatchDataset(Dataset[Batch]):
    """Answers a request for a batch with the batch."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __getitem__(self, request: BatchRequest) -> Batch:
        images, labels = self.pictures.read(request.indices)
        return {"images": images, "labels": labels, "seed": request.seed}

    def __len__(self) -> int:
        return len(self.pictures)


def batch_loader(
    pictures: Pictures, sampler: BatchSampler, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """A loader that yields the sampler's batches; with workers, each decodes whole batches."""
    return DataLoader(
        BatchDataset(pictures),
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_the_main_process if num_workers else None,
    )


def _leave_signals_to_the_main_process(worker: int) -> None:
    """What a terminal or a cluster sends goes to workers, too, whose batches the last step may yet need.

    The loader itself ends a worker that does not listen with SIGTERM: the second ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _count(share: float, total: int) -> int:
    return round(share * total) if share < 1 else int(share)

"""Images in one folder per class: only names are kept in memory, and images are decoded batch by batch."""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.datasets.file_listing import (
    find_decodable,
    has_images,
    list_classes,
    list_image_files,
)
from mobilenet_lab.data.image_depth import log_bits_used
from mobilenet_lab.data.images import FITS, load_image, resize_to_square
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
SPLITS = {"train", "val", "test"}
SPLIT_LIKE = SPLITS | {"training", "valid", "validation", "dev", "eval", "testing"}  # in lower case


@dataclass(frozen=True)
class FolderDataset:
    """The images of one split, as file names.

    Args:
        root: Folder of the split.
        files: Paths relative to `root`, in a fixed order.
        labels: int64, shape (N,).
        size, channels, fit: See `images.resize_to_square`.
    """

    root: Path
    files: list[str]
    labels: np.ndarray
    size: int
    channels: int
    fit: str

    def __len__(self) -> int:
        return len(self.files)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Decode a batch.

        Args:
            indices: Positions of the images, shape (n,).

        Returns:
            Images, uint8, shape (n, channels, size, size), and labels, int64, shape (n,).

        Raises:
            InputError: A file cannot be read or decoded.
        """
        images = np.empty((len(indices), self.channels, self.size, self.size), np.uint8)
        for i, index in enumerate(indices):
            try:
                image = load_image(self.root / self.files[index])
            except InputError as error:
                raise InputError(
                    f"{error}; fix or remove the file, or leave out all such files with "
                    "data.on_corrupt_image=skip"
                ) from error
            log_bits_used(image, self.files[index])
            images[i] = resize_to_square(image, self.size, self.channels, self.fit)
        return torch.from_numpy(images), torch.from_numpy(self.read_labels(indices))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read labels without decoding images: int64, shape (n,)."""
        return self.labels[indices]


@dataclass(frozen=True)
class FolderSource:
    """A data set of the files `root`/<class>/<file>, or `root`/<split>/<class>/<file>.

    The folders of splits are called train, test and val; either of the last two may be absent. A class is a
    folder with images at any depth, and is named after the folder. Names that start with a dot are skipped.
    The folder of a class may be a link, and so may an image. Links to folders below a class, or to a parent,
    are not followed.

    Args:
        root: Folder of the classes or splits.
        size, channels: See `images.resize_to_square`.
        fit: How images become square, in training and in prediction: "crop", "pad" or "stretch".
        mnist_style: Whether images are single digits in MNIST's style; see `DatasetSource`.
    """

    root: Path
    size: int
    channels: int
    fit: str
    mnist_style: bool
    name: str = "image_folder"

    def prepare(self) -> None:
        """Do nothing: there is nothing to download."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of the folders, sorted.

        Raises:
            FileNotFoundError: The folder does not exist.
            InputError: There are fewer than two classes, or folders look like splits but have other names.
        """
        folder = self._folder("train")
        if not folder.is_dir():
            raise FileNotFoundError(f"data.root={self.root}: no such folder")
        self._check_split_names()
        names = list_classes(folder)
        if len(names) < 2:
            raise InputError(
                f"{folder}: needs at least two folders with images, one per class; it has "
                f"{', '.join(names) or 'none'}"
            )
        return names

    @property
    def native_size(self) -> int:
        """Side in pixels to which images are resized when they are decoded."""
        return self.size

    def has_split(self, split: str) -> bool:
        """Return whether there is a folder of that name next to the folder train."""
        return (self.root / "train").is_dir() and (self.root / split).is_dir()

    def open(self, split: str, skip_corrupt: bool = False) -> FolderDataset:
        """List the images of a split.

        Args:
            split: "train", or "val" or "test" if there is such a folder.
            skip_corrupt: Whether to decode every file now and leave out those that fail. Splits, order and
                resuming are then the same as if these files did not exist.

        Raises:
            FileNotFoundError: There is no folder for the split.
            InputError: The split has a class that the training images lack, or a class has no image that
                can be decoded.
        """
        folder = self._folder(split)
        if split != "train" and not self.has_split(split):
            raise FileNotFoundError(
                f"{self.root}: has no separate {split} images; set data.{split}_split, or create the folders "
                f"train and {split}"
            )
        classes = self.classes
        if unknown := set(list_classes(folder)) - set(classes):
            raise InputError(
                f"{folder}: {', '.join(sorted(unknown))} not among the training classes; remove or rename"
            )
        files, labels = self._list(folder)
        if skip_corrupt:
            kept = find_decodable(folder, files)
            files, labels = [files[i] for i in kept], labels[kept]
            if split == "train" and (empty := sorted(set(range(len(classes))) - set(labels.tolist()))):
                names = ", ".join(str(folder / classes[label]) for label in empty)
                raise InputError(f"{names}: no image can be decoded; fix or remove the folder")
        return FolderDataset(folder, files, labels, self.size, self.channels, self.fit)

    def _list(self, folder: Path) -> tuple[list[str], np.ndarray]:
        files, labels = [], []
        others: Counter[str] = Counter()
        for label, name in enumerate(self.classes):
            found = list_image_files(folder / name, others)
            files += [f"{name}/{file}" for file in found]
            labels += [label] * len(found)
        if others:
            counts = ", ".join(f"{n} {printable(ending) or 'without'}" for ending, n in others.most_common())
            log.warning("%s: files without the extension of an image are left out: %s", folder, counts)
        return files, np.array(labels, np.int64)

    def _check_split_names(self) -> None:
        """Refuse folders that look like splits but would be taken for classes, or not be read at all."""
        names = [path.name for path in self.root.iterdir() if path.name.lower() in SPLIT_LIKE]
        found = sorted(name for name in names if (self.root / name).is_dir() and has_images(self.root / name))
        if len(found) > 1 and ("train" not in found or set(found) - SPLITS):
            raise InputError(
                f"{self.root}: {', '.join(found)} look like splits, not classes; call the folders of "
                "training, validation and test images train, val and test"
            )

    def _folder(self, split: str) -> Path:
        has_splits = self.has_split("val") or self.has_split("test")
        return self.root / split if has_splits else self.root


def image_folder(
    root: str, size: int, channels: int, fit: str = "crop", mnist_style: bool = False
) -> FolderSource:
    """Return the data set of images in one folder per class; see `FolderSource`.

    Raises:
        InputError: `fit` is unknown.
    """
    if fit not in FITS:
        raise InputError(f"data.source.fit={fit}: must be one of {', '.join(FITS)}")
    return FolderSource(Path(root), size, channels, fit, mnist_style)

"""Images in one folder per class: only names are kept in memory, and images are decoded batch by batch."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.data.datasets.file_listing import (
    find_decodable,
    list_classes,
    list_image_files,
    natural_key,
    warn_of_other_files,
)
from mobilenet_lab.data.datasets.folder_layout import find_splits, warn_of_other_folders
from mobilenet_lab.data.datasets.folder_tree import Links
from mobilenet_lab.data.image_depth import log_bits_used
from mobilenet_lab.data.images import FITS, load_image, resize_to_square
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

ON_EMPTY_CLASS = ("error", "skip")


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

    The folders of splits are called train, val and test, or one of `folder_layout.NAMES`; either of the last
    two may be absent. A class is a folder with images at any depth, and is named after the folder. Names that
    start with a dot are skipped. Images and folders may be links; see `folder_tree.Links`.

    Args:
        root: Folder of the classes or splits.
        size, channels: See `images.resize_to_square`.
        fit: How images become square, in training and in prediction: "crop", "pad" or "stretch".
        mnist_style: Whether images are single digits in MNIST's style; see `DatasetSource`.
        on_empty_class: "error" refuses folders that hold files, but none that can be read; "skip" leaves them
            out.
    """

    root: Path
    size: int
    channels: int
    fit: str
    mnist_style: bool
    on_empty_class: str = "error"
    name: str = "image_folder"

    def prepare(self) -> None:
        """Do nothing: there is nothing to download."""

    @property
    def splits(self) -> dict[str, Path]:
        """Folders of the splits; empty if `root` holds the classes.

        Raises:
            FileNotFoundError: The folder does not exist.
            InputError: It is not clear which folders are splits and which are classes.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"data.root={self.root}: no such folder")
        return find_splits(self.root)

    @cached_property
    def classes(self) -> list[str]:
        """Names of the folders in natural order: 2 before 10. Accented letters are in composed form.

        Raises:
            FileNotFoundError: The folder does not exist.
            InputError: There are fewer than two classes, or folders or their names cannot be used.
        """
        splits = self.splits
        folder = splits.get("train", self.root)
        warn_of_other_folders(self.root, splits)
        names = self._list_classes(folder)
        if len(names) < 2:
            raise InputError(
                f"{folder}: needs at least two folders with images, one per class; it has "
                f"{', '.join(names) or 'none'}"
            )
        check_class_names(names, str(folder))
        return names

    @property
    def native_size(self) -> int:
        """Side in pixels to which images are resized when they are decoded."""
        return self.size

    def has_split(self, split: str) -> bool:
        """Return whether there is a folder for the split next to the folder train."""
        return split in self.splits

    def open(self, split: str, skip_corrupt: bool = False) -> FolderDataset:
        """List the images of a split.

        Args:
            split: "train", or "val" or "test" if there is such a folder.
            skip_corrupt: Whether to decode every file now and leave out those that fail. Splits, order and
                resuming are then the same as if these files did not exist.

        Raises:
            FileNotFoundError: There is no folder for the split.
            InputError: The split has no images or a class that the training images lack, or a class has no
                image that can be decoded.
        """
        folder = self._folder(split)
        if split != "train" and not self.has_split(split):
            raise FileNotFoundError(
                f"{self.root}: has no separate {split} images; set data.{split}_split, or create the folders "
                f"train and {split}"
            )
        classes = self.classes
        if split != "train":
            self._check_known(folder)
        files, labels = self._list(folder)
        if not files:
            raise InputError(f"{folder}: has no images in folders of classes; add them, or rename the folder")
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
        links = Links(folder)
        entries = {_composed(path.name): path.name for path in folder.iterdir() if path.is_dir()}
        for label, name in enumerate(self.classes):
            if name not in entries:  # a class without images in this split
                continue
            found = list_image_files(folder / entries[name], others, links=links)
            files += [f"{entries[name]}/{file}" for file in found]
            labels += [label] * len(found)
        warn_of_other_files(folder, others)
        return files, np.array(labels, np.int64)

    def _list_classes(self, folder: Path) -> list[str]:
        names = list_classes(folder, skip_unreadable=self.on_empty_class == "skip")
        return sorted(map(_composed, names), key=natural_key)

    def _check_known(self, folder: Path) -> None:
        """Refuse a split with a class that has no training images."""
        known = set(self.classes)
        for name in self._list_classes(folder):
            if name in known:
                continue
            same = [other for other in self.classes if other.casefold() == name.casefold()]
            hint = (
                f"rename it to {printable(same[0])}" if same else "remove or rename it, or add images there"
            )
            raise InputError(
                f"{folder}: {printable(name)} not among the training classes in {self._folder('train')}; "
                f"{hint}"
            )

    def _folder(self, split: str) -> Path:
        return self.splits.get(split, self.root)


def _composed(name: str) -> str:
    """Return a name with composed letters: macOS may write an accent as a character of its own."""
    return unicodedata.normalize("NFC", name)


def image_folder(
    root: str,
    size: int,
    channels: int,
    fit: str = "crop",
    mnist_style: bool = False,
    on_empty_class: str = "error",
) -> FolderSource:
    """Return the data set of images in one folder per class; see `FolderSource`.

    Raises:
        InputError: `fit` or `on_empty_class` is unknown.
    """
    if on_empty_class not in ON_EMPTY_CLASS:
        raise InputError(
            f"data.source.on_empty_class={on_empty_class}: must be one of {', '.join(ON_EMPTY_CLASS)}"
        )
    if fit not in FITS:
        raise InputError(f"data.source.fit={fit}: must be one of {', '.join(FITS)}")
    return FolderSource(Path(root), size, channels, fit, mnist_style, on_empty_class)

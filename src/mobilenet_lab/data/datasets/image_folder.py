"""Images in one folder a class: only names are held, a batch's images are decoded when asked for."""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.datasets.file_listing import classes_in, list_image_files, readable
from mobilenet_lab.data.images import FITS, load_image, printable, resize_to_square
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)
OTHER_NAMES = {"valid", "validation", "dev", "eval", "testing"}  # others' for "val" and "test"
PART_NAMES = OTHER_NAMES | {"train", "training", "val", "test"}  # in small letters
ON_CORRUPT_IMAGE = ("error", "skip")


@dataclass(frozen=True)
class FolderDataset:
    """The images of a folder, as names.

    Args:
        files: Paths below `root`, in a fixed order.
        labels: int64, shape (N,).
        size, channels, fit: See `data.dataset.resize_to_square`.
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
            indices: Which images, shape (n,).

        Returns:
            Images, uint8, shape (n, channels, size, size), and labels, int64, shape (n,).

        Raises:
            InputError: a file cannot be read or is no image; the message names it.
        """
        images = np.empty((len(indices), self.channels, self.size, self.size), np.uint8)
        for i, index in enumerate(indices):
            try:
                image = load_image(self.root / self.files[index])
            except InputError as error:
                raise InputError(
                    f"{error}; mend or remove it, or leave out such files with data.on_corrupt_image=skip"
                ) from error
            images[i] = resize_to_square(image, self.size, self.channels, self.fit)
        return torch.from_numpy(images), torch.from_numpy(self.read_labels(indices))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels alone, int64, shape (n,); nothing is decoded."""
        return self.labels[indices]


@dataclass(frozen=True)
class FolderSource:
    """`root`/<class>/<file>, or `root`/train/<class>/<file> beside the folders test, val or both.

    A class is a folder that holds images; its name is the class's name. Images below it at any depth
    belong to it. Names that begin with a dot are left out. A class may be a link to a folder elsewhere, and a
    image one to a file; links to folders further down, and back to where the classes lie, are not followed.

    Args:
        root, size, channels, fit: See `FolderDataset`.
        mnist_style: Whether the images are digits in MNIST's form: bright on black, cropped, centred.
        on_corrupt_image: "error" reports the first file that cannot be decoded when it is read; "skip" decodes
            every file when a part is opened and leaves such out before anything is divided or ordered, so
            that order, shares and resuming are those of a folder without them.
    """

    root: Path
    size: int
    channels: int
    fit: str
    mnist_style: bool
    on_corrupt_image: str = "error"
    name: str = "image_folder"

    def prepare(self) -> None:
        """Nothing is fetched."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of the folders, sorted.

        Raises:
            FileNotFoundError: there is no such folder.
            InputError: it holds fewer than two classes.
        """
        folder = self._folder("train")
        if not folder.is_dir():
            raise FileNotFoundError(f"data.root={self.root}: no such folder")
        names = classes_in(folder)
        others = sorted(name for name in OTHER_NAMES if self._is_part(name))
        if others and self._is_part("train"):
            raise InputError(
                f"{self.root}: has train and {' and '.join(others)}: call the folder of images to validate "
                "with val, and of those to test with test"
            )
        if len(parts := [name for name in names if name.lower() in PART_NAMES]) > 1:
            raise InputError(
                f"{folder}: {' and '.join(parts)} are parts, and not classes: call the folder of images to "
                "train on train, of those to validate with val, and of those to test with test"
            )
        if len(names) < 2:
            raise InputError(
                f"{folder}: needs at least two folders with images, one a class; it has "
                f"{', '.join(names) or 'none'}"
            )
        return names

    @property
    def native_size(self) -> int:
        """Pixels of the side that images are decoded to."""
        return self.size

    def has_split(self, part: str) -> bool:
        """Whether there is a folder of that name beside the folder train."""
        return (self.root / "train").is_dir() and (self.root / part).is_dir()

    def open(self, part: str) -> FolderDataset:
        """List a part: "train", or "val" or "test" where there is such a folder.

        Raises:
            FileNotFoundError: the folder holds no such images apart.
            InputError: the part has a class that the training images lack, or with
                `on_corrupt_image="skip"`, a class has no image that can be decoded.
        """
        folder = self._folder(part)
        if part != "train" and not self.has_split(part):
            raise FileNotFoundError(
                f"{self.root} has no {part} images apart: choose data.{part}_split, or make the folders "
                f"train and {part}"
            )
        classes = self.classes
        if unknown := set(classes_in(folder)) - set(classes):
            raise InputError(f"{folder}: {', '.join(sorted(unknown))}: not among the training classes")
        files, labels = [], []
        others: Counter[str] = Counter()
        for label, name in enumerate(classes):
            found = list_image_files(folder / name, others)
            files += [f"{name}/{file}" for file in found]
            labels += [label] * len(found)
        if others:
            counts = ", ".join(
                f"{number} {printable(suffix) or 'without'}" for suffix, number in others.most_common()
            )
            log.warning("%s: files that are no images by their endings are left out: %s", folder, counts)
        if self.on_corrupt_image == "skip":
            kept = readable(folder, files)
            files, labels = [files[i] for i in kept], [labels[i] for i in kept]
            if part == "train" and (empty := set(range(len(classes))) - set(labels)):
                names = ", ".join(str(folder / classes[label]) for label in sorted(empty))
                raise InputError(f"{names}: no image in it can be decoded; mend or remove the folder")
        return FolderDataset(folder, files, np.array(labels, np.int64), self.size, self.channels, self.fit)

    def _is_part(self, name: str) -> bool:
        return (self.root / name).is_dir() and len(list_image_files(self.root / name)) > 0

    def _folder(self, part: str) -> Path:
        is_divided = self.has_split("val") or self.has_split("test")
        return self.root / part if is_divided else self.root


def image_folder(
    root: str,
    size: int,
    channels: int,
    fit: str = "crop",
    mnist_style: bool = False,
    on_corrupt_image: str = "error",
) -> FolderSource:
    """Images in `root`/<class>/<file>.

    Raises:
        InputError: `fit` or `on_corrupt_image` is unknown.
    """
    if fit not in FITS:
        raise InputError(f"data.source.fit={fit}: must be one of {', '.join(FITS)}")
    if on_corrupt_image not in ON_CORRUPT_IMAGE:
        raise InputError(
            f"data.on_corrupt_image={on_corrupt_image}: must be one of {', '.join(ON_CORRUPT_IMAGE)}"
        )
    return FolderSource(Path(root), size, channels, fit, mnist_style, on_corrupt_image)

"""Pictures in one folder a class: only names are held, a batch's pictures are decoded when asked for."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.pictures import FITS, fit_picture, open_picture
from mobilenet_lab.errors import InputError

EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class FolderPictures:
    """The pictures of a folder, as names.

    Args:
        files: Paths below `root`, in a fixed order.
        labels: int64, shape (N,).
        size, channels, fit: See `data.pictures.fit_picture`.
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
            indices: Which pictures, shape (n,).

        Returns:
            Pictures, uint8, shape (n, channels, size, size), and labels, int64, shape (n,).

        Raises:
            InputError: a file cannot be read or is no picture; the message names it.
        """
        images = np.empty((len(indices), self.channels, self.size, self.size), np.uint8)
        for i, index in enumerate(indices):
            picture = open_picture(self.root / self.files[index])
            images[i] = fit_picture(picture, self.size, self.channels, self.fit)
        return torch.from_numpy(images), torch.from_numpy(self.read_labels(indices))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels alone, int64, shape (n,); nothing is decoded."""
        return self.labels[indices]


@dataclass(frozen=True)
class FolderSource:
    """`root`/<class>/<file>, or `root`/train/<class>/<file> beside the folders test, val or both.

    A class is a folder that holds pictures; its name is the class's name. Pictures below it at any depth
    belong to it. Names that begin with a dot are left out.
    """

    root: Path
    size: int
    channels: int
    fit: str
    digits: bool
    name: str = "image_folder"

    def prepare(self) -> None:
        """Nothing is fetched."""

    @property
    def classes(self) -> list[str]:
        """Names of the folders, sorted.

        Raises:
            FileNotFoundError: there is no such folder.
            InputError: it holds fewer than two classes.
        """
        folder = self._folder("train")
        if not folder.is_dir():
            raise FileNotFoundError(f"data.root={self.root}: no such folder")
        names = _classes_in(folder)
        if len(names) < 2:
            raise InputError(
                f"{folder}: needs at least two folders with pictures, one a class; it has "
                f"{', '.join(names) or 'none'}"
            )
        return names

    @property
    def picture_size(self) -> int:
        """Pixels of the side that pictures are decoded to."""
        return self.size

    def has_part(self, part: str) -> bool:
        """Whether there is a folder of that name beside the folder train."""
        return (self.root / "train").is_dir() and (self.root / part).is_dir()

    def open(self, part: str) -> FolderPictures:
        """List a part: "train", or "val" or "test" where there is such a folder.

        Raises:
            FileNotFoundError: the folder holds no such pictures apart.
            InputError: the part has a class that the training pictures lack.
        """
        folder = self._folder(part)
        if part != "train" and not self.has_part(part):
            raise FileNotFoundError(
                f"{self.root} has no {part} pictures apart: choose data.{part}_split, or make the folders "
                f"train and {part}"
            )
        classes = self.classes
        if unknown := set(_classes_in(folder)) - set(classes):
            raise InputError(f"{folder}: {', '.join(sorted(unknown))}: not among the training classes")
        files, labels = [], []
        for label, name in enumerate(classes):
            found = _pictures_in(folder / name)
            files += [f"{name}/{file}" for file in found]
            labels += [label] * len(found)
        return FolderPictures(folder, files, np.array(labels, np.int64), self.size, self.channels, self.fit)

    def _folder(self, part: str) -> Path:
        is_divided = self.has_part("val") or self.has_part("test")
        return self.root / part if is_divided else self.root


def image_folder(
    root: str, size: int, channels: int, fit: str = "crop", digits: bool = False
) -> FolderSource:
    """Pictures in `root`/<class>/<file>.

    Raises:
        InputError: `fit` is unknown.
    """
    if fit not in FITS:
        raise InputError(f"data.source.fit={fit}: must be one of {', '.join(FITS)}")
    return FolderSource(Path(root), size, channels, fit, digits)


def _classes_in(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and _pictures_in(entry)
    )


def _pictures_in(folder: Path) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            os.path.relpath(os.path.join(parent, file), folder)
            for file in sorted(files)
            if os.path.splitext(file)[1].lower() in EXTENSIONS and not file.startswith(".")
        ]
    return found

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
        return torch.from_numpy(images), torch.from_numpy(self.labels[indices])


@dataclass(frozen=True)
class FolderSource:
    """`root`/<class>/<file>, or `root`/train/<class>/<file> beside `root`/test/<class>/<file>.

    A class is a folder that holds pictures; its name is the class's name. Pictures below it at any depth
    belong to it.
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
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _pictures_in(entry))
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

    def open(self, part: str) -> FolderPictures:
        """List a part, "train" or "test".

        Raises:
            FileNotFoundError: the folder holds no separate test pictures.
        """
        folder = self._folder(part)
        if part == "test" and folder == self.root:
            raise FileNotFoundError(
                f"{self.root} has no test pictures apart: choose data.test_split, or make the folders "
                "train and test"
            )
        files, labels = [], []
        for label, name in enumerate(self.classes):
            found = _pictures_in(folder / name)
            files += [f"{name}/{file}" for file in found]
            labels += [label] * len(found)
        return FolderPictures(folder, files, np.array(labels, np.int64), self.size, self.channels, self.fit)

    def _folder(self, part: str) -> Path:
        has_parts = (self.root / "train").is_dir() and (self.root / "test").is_dir()
        return self.root / part if has_parts else self.root


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


def _pictures_in(folder: Path) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        found += [
            os.path.relpath(os.path.join(parent, file), folder)
            for file in sorted(files)
            if os.path.splitext(file)[1].lower() in EXTENSIONS
        ]
    return found

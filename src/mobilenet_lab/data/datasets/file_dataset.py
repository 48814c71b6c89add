"""Labeled image files that are decoded batch by batch."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from mobilenet_lab.data import fast_jpeg
from mobilenet_lab.data.datasets.file_listing import find_decodable
from mobilenet_lab.data.datasets.file_names import FileNames
from mobilenet_lab.data.disk_cache import stamp_of
from mobilenet_lab.data.square_reader import SquareReader
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

PIXELS = 1  # version of the code that reads a file; increase it when the same file gives other pixels


@dataclass(frozen=True)
class FileDataset:
    """The images of one split, as file names.

    Args:
        root: Folder that paths are relative to.
        files: Paths, in a fixed order.
        labels: Unsigned integers of any size, shape (N,).
        reader: Reads an image.
    """

    root: Path
    files: FileNames
    labels: np.ndarray
    reader: SquareReader

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
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        for image, index in zip(images, indices.tolist(), strict=True):
            self.read_into(image, index)
        return torch.from_numpy(images), torch.from_numpy(self.read_labels(indices))

    def read_into(self, image: np.ndarray, index: int) -> None:
        """Decode an image into an array, uint8, shape (channels, size, size).

        Raises:
            InputError: The file cannot be read or decoded.
        """
        name = self.files[index]
        try:
            image[:] = self.reader(self.root / name, name)
        except InputError as error:
            raise InputError(
                f"{error}; fix or remove the file, or leave out all such files with "
                "data.on_corrupt_image=skip"
            ) from error

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, (channels, size, size)."""
        return self.reader.shape

    def identity(self) -> bytes:
        """Return a hash of the paths in their order, and of how they are read."""
        versions = [str(PIXELS), PIL.__version__, *fast_jpeg.versions(self.reader.decoder)]
        facts = [os.path.realpath(self.root), *map(str, astuple(self.reader)), *versions]
        text = "\0".join(facts).encode(errors="surrogateescape")
        return hashlib.blake2b(text + self.files.digest(), digest_size=16).digest()

    def stamp(self, index: int) -> int | None:
        """Return 64 bits that change with a file; None if it cannot be looked up."""
        try:
            return stamp_of((self.root / self.files[index]).stat())
        except OSError:
            return None

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read labels without decoding images: int64, shape (n,)."""
        return self.labels[indices].astype(np.int64)

    def without_corrupt(self) -> "FileDataset":
        """Decode every image now, and return the data set of those that do not fail."""
        kept = find_decodable(self.root, self.files)
        return FileDataset(self.root, self.files.select(kept), self.labels[kept], self.reader)


class FileSource:
    """What data sets of image files have in common, however the files are listed.

    Attributes:
        reader: Reads an image.
    """

    reader: SquareReader
    name: str = "image_folder"

    def prepare(self) -> None:
        """Do nothing: there is nothing to download."""

    @property
    def native_size(self) -> int:
        """Side in pixels to which images are resized when they are decoded."""
        return self.reader.size

    @property
    def fit(self) -> str:
        """How images become square, in training and in prediction; see `images.resize_to_square`."""
        return self.reader.fit


def check_every_class(labels: np.ndarray, names: Sequence[str]) -> None:
    """Refuse a class without an image that can be decoded.

    Args:
        labels: Labels of the images that can be decoded, shape (N,).
        names: What the message calls each class.

    Raises:
        InputError: A class has no images.
    """
    empty = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if len(empty):
        listed = ", ".join(printable(names[int(label)]) for label in empty)
        raise InputError(f"{listed}: no image can be decoded; fix or remove the folder")

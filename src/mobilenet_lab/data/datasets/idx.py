"""MNIST's IDX files, memory-mapped: a batch is one indexed read, and memory does not grow with the file.

Format (http://yann.lecun.com/exdb/mnist): two zero bytes, a byte for the type (8 is unsigned byte), a byte
for the number of dimensions, each dimension as a big-endian 32-bit integer, then the values.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.runtime.errors import InputError

UNSIGNED_BYTE = 8
GZIP = b"\x1f\x8b"


def open_idx(path: Path, num_dimensions: int) -> np.ndarray:
    """Map an IDX file of unsigned bytes.

    Args:
        path: The uncompressed file.
        num_dimensions: 3 for images, 1 for labels.

    Returns:
        A read-only uint8 array of the shape that the file states, backed by the file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the header is not that of such a file, or the length does not fit it.
    """
    header_bytes = 4 + 4 * num_dimensions
    with path.open("rb") as file:
        header = file.read(header_bytes)
    if header[:2] == GZIP:
        raise InputError(f"{path}: packed with gzip; unpack it first")
    if len(header) < header_bytes or header[:4] != bytes([0, 0, UNSIGNED_BYTE, num_dimensions]):
        raise InputError(
            f"{path}: not an IDX file of unsigned bytes with {num_dimensions} dimensions; "
            f"it begins with {header[:4].hex(' ') or 'nothing'}; put a whole one in its place"
        )
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4", offset=4))
    expected, actual = header_bytes + int(np.prod(shape, dtype=object)), path.stat().st_size
    if actual != expected or 0 in shape:
        raise InputError(
            f"{path}: the header promises {' x '.join(map(str, shape))} values, a file of {expected:,} "
            f"bytes, but it has {actual:,}; put a whole one in its place"
        )
    mapped = np.memmap(path, np.uint8, mode="r", offset=header_bytes, shape=shape)
    return np.asarray(mapped)  # a plain view: indexing the subclass costs more per batch


@dataclass(frozen=True)
class IdxDataset:
    """Images and labels of a pair of IDX files.

    Args:
        images: uint8, shape (N, H, W).
        labels: uint8, shape (N,).
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read a batch.

        Args:
            indices: Which images, shape (n,).

        Returns:
            Images, uint8, shape (n, 1, H, W), and labels, int64, shape (n,).
        """
        images = torch.from_numpy(self.images.take(indices, axis=0)).unsqueeze(1)
        return images, torch.from_numpy(self.read_labels(indices).astype(np.int64))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels alone, uint8, shape (n,)."""
        return self.labels.take(indices)


def open_pair(images_path: Path, labels_path: Path, num_classes: int | None = None) -> IdxDataset:
    """Map the two files of a part of a data set and check that they belong together.

    Raises:
        FileNotFoundError: one of them is missing.
        InputError: a file is damaged, the counts differ, or a label is not below `num_classes`.
    """
    images, labels = open_idx(images_path, 3), open_idx(labels_path, 1)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} holds {len(images):,} images but {labels_path} {len(labels):,} labels; "
            "put two files there that belong together"
        )
    if num_classes is not None and (highest := int(labels.max())) >= num_classes:
        position = int(labels.argmax())
        raise InputError(
            f"{labels_path}: label {highest} at position {position:,}; there are {num_classes} classes; "
            "put the right file in its place"
        )
    return IdxDataset(images, labels)

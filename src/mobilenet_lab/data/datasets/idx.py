"""MNIST's IDX files, memory-mapped: a batch is one indexed read, and memory does not grow with the file.

Format (http://yann.lecun.com/exdb/mnist): two zero bytes, one byte for the data type (8 is unsigned byte),
one byte for the number of dimensions, each dimension as a big-endian 32-bit integer, then the values.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.runtime.errors import InputError

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"


def open_idx(path: Path, num_dimensions: int) -> np.ndarray:
    """Map an IDX file of unsigned bytes.

    Args:
        path: The uncompressed file.
        num_dimensions: 3 for images, 1 for labels.

    Returns:
        A read-only uint8 array with the shape from the header, backed by the file.

    Raises:
        FileNotFoundError: The file does not exist.
        InputError: The header is wrong, or the file's length does not match it.
    """
    header_bytes = 4 + 4 * num_dimensions
    with path.open("rb") as file:
        header = file.read(header_bytes)
    if header[:2] == GZIP_MAGIC:
        raise InputError(f"{path}: compressed with gzip; decompress it first")
    if len(header) < header_bytes or header[:4] != bytes([0, 0, UNSIGNED_BYTE, num_dimensions]):
        raise InputError(
            f"{path}: not an IDX file of unsigned bytes with {num_dimensions} dimensions "
            f"(it starts with {header[:4].hex(' ') or 'nothing'}); replace it with an intact file"
        )
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4", offset=4))
    expected, actual = header_bytes + int(np.prod(shape, dtype=object)), path.stat().st_size
    if actual != expected or 0 in shape:
        raise InputError(
            f"{path}: the header announces {' x '.join(map(str, shape))} values, a file of {expected:,} "
            f"bytes, but the file has {actual:,}; replace it with an intact file"
        )
    mapped = np.memmap(path, np.uint8, mode="r", offset=header_bytes, shape=shape)
    return np.asarray(mapped)  # a plain view: indexing np.memmap itself is slower


@dataclass(frozen=True)
class IdxDataset:
    """Images and labels from a pair of IDX files.

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
            indices: Positions of the images, shape (n,).

        Returns:
            Images, uint8, shape (n, 1, H, W), and labels, int64, shape (n,).
        """
        images = torch.from_numpy(self.images.take(indices, axis=0)).unsqueeze(1)
        return images, torch.from_numpy(self.read_labels(indices).astype(np.int64))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read labels without images: uint8, shape (n,)."""
        return self.labels.take(indices)


def open_pair(images_path: Path, labels_path: Path, num_classes: int | None = None) -> IdxDataset:
    """Map the two files of a split and check that they belong together.

    Args:
        images_path: IDX file with three dimensions.
        labels_path: IDX file with one dimension.
        num_classes: Every label must be below it; None skips the check.

    Raises:
        FileNotFoundError: A file does not exist.
        InputError: A file is damaged, the counts differ, or a label is out of range.
    """
    images, labels = open_idx(images_path, 3), open_idx(labels_path, 1)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} has {len(images):,} images but {labels_path} has {len(labels):,} labels; "
            "use two files that belong together"
        )
    if num_classes is not None and (highest := int(labels.max())) >= num_classes:
        position = int(labels.argmax())
        raise InputError(
            f"{labels_path}: label {highest} at position {position:,}, but there are {num_classes} classes; "
            "replace it with the right file"
        )
    return IdxDataset(images, labels)

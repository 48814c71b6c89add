"""Keep decoded and resized images on disk, for repeated epochs and runs.

An image is written by whichever process reads it first, and is read by all: workers, ranks and other runs.
Each has a checksum, so that an image that a crash has cut is decoded again.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.datasets.base import ImageDataset
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.user_cache import user_cache_folder

log = logging.getLogger(__name__)
UNUSED_DAYS = 30  # after which a cache is removed
SUFFIX = ".squares"
ENTRY = struct.Struct("<QQ")  # stamp of the file, and checksum of the pixels with the highest bit set
PAGE = 4096  # bytes; pixels begin at a multiple
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@runtime_checkable
class DecodedDataset(ImageDataset, Protocol):
    """A data set with a file per image; see `datasets.file_dataset.FileDataset`."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, H, W)."""
        ...

    def identity(self) -> bytes:
        """Return a hash of everything but the contents of files that decides about pixels and their order."""
        ...

    def stamp(self, index: int) -> int | None:
        """Return 64 bits that change with the file of an image; None if it cannot be looked up."""
        ...

    def read_into(self, image: np.ndarray, index: int) -> None:
        """Decode an image into an array, uint8, shape (C, H, W)."""
        ...


class DiskCachedDataset:
    """The images of a data set, decoded once.

    Args:
        dataset: The images.
        store: Their pixels.
    """

    def __init__(self, dataset: DecodedDataset, store: "PixelStore") -> None:
        self._dataset = dataset
        self._store = store

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read a batch: images, uint8, (n, C, H, W), and labels, int64, (n,).

        Raises:
            InputError: A file cannot be read or decoded.
        """
        images = np.empty((len(indices), *self._dataset.image_shape), np.uint8)
        for image, index in zip(images, indices.tolist(), strict=True):
            stamp = self._dataset.stamp(index)
            if stamp is None or not self._store.load(image, index, stamp):
                self._dataset.read_into(image, index)
                if stamp is not None:
                    self._store.save(image, index, stamp)
        return torch.from_numpy(images), torch.from_numpy(self.read_labels(indices))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read labels without images: int64, shape (n,)."""
        return self._dataset.read_labels(indices)


class PixelStore:
    """A file with the pixels of all images, in which nothing but what was written takes space.

    Args:
        path: The file. It is created if needed.
        count: Number of images.
        size: Bytes per image.

    Raises:
        OSError: The file cannot be created.
    """

    def __init__(self, path: Path, count: int, size: int) -> None:
        self._arguments = path, count, size
        self._size = size
        self._begin = -(-count * ENTRY.size // PAGE) * PAGE  # of the pixels, after the entries
        self._is_full = False
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        os.ftruncate(self._file, self._begin + count * size)

    def __reduce__(self) -> tuple[Any, ...]:
        return PixelStore, self._arguments  # a worker that is not forked opens the file again

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def load(self, image: np.ndarray, index: int, stamp: int) -> bool:
        """Read an image, and return whether it was there and is intact.

        Args:
            image: Receives the pixels; contiguous.
            index: Position of the image.
            stamp: What the file had when it was decoded.
        """
        known, checksum = ENTRY.unpack(os.pread(self._file, ENTRY.size, index * ENTRY.size))
        if not checksum or known != stamp:
            return False
        got = os.preadv(self._file, [image.data], self._begin + index * self._size)
        return got == self._size and checksum == _checksum(image)

    def save(self, image: np.ndarray, index: int, stamp: int) -> None:
        """Write an image, unless the disk is full: the pixels first, and then their entry."""
        if self._is_full:
            return
        try:
            os.pwrite(self._file, image.data, self._begin + index * self._size)
            os.pwrite(self._file, ENTRY.pack(stamp, _checksum(image)), index * ENTRY.size)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self._is_full = True
            log.warning("data.cache=disk: %s is full; the other images are not kept", self._arguments[0])


def keep_on_disk(subsets: Mapping[str, Subset]) -> dict[str, Subset]:
    """Return subsets whose images are kept on disk; see `on_disk`."""
    kept = {id(subset.dataset): subset.dataset for subset in subsets.values()}  # subsets may share one
    kept = {key: on_disk(dataset) for key, dataset in kept.items()}
    return {name: replace(subset, dataset=kept[id(subset.dataset)]) for name, subset in subsets.items()}


def on_disk(dataset: ImageDataset) -> DiskCachedDataset:
    """Return a data set whose images are kept in the user's cache folder.

    Raises:
        InputError: The images are not decoded from files, or there is no space.
    """
    if not isinstance(dataset, DecodedDataset):
        raise InputError(
            "data.cache=disk: keeps images that are decoded from a file each, which this data set does not "
            "have; use data.cache=auto"
        )
    folder = user_cache_folder() / "images"
    path = folder / f"{dataset.identity().hex()}{SUFFIX}"
    size = int(np.prod(dataset.image_shape))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_unused(folder, path)
        _check_space(path, len(dataset), size)
        store = PixelStore(path, len(dataset), size)
        os.utime(path)
    except OSError as error:
        raise InputError(
            f"data.cache=disk: {folder} cannot be used: {error.strerror}; set XDG_CACHE_HOME to another "
            "folder"
        ) from error
    return DiskCachedDataset(dataset, store)


def _check_space(path: Path, count: int, size: int) -> None:
    total = count * (size + ENTRY.size) + PAGE
    missing = total - (path.stat().st_blocks * 512 if path.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if missing > free:
        raise InputError(
            f"data.cache=disk: {count:,} images take {total / 1e9:.1f} GB, but {path.parent} has "
            f"{free / 1e9:.1f} GB free; use data.cache=auto, or set XDG_CACHE_HOME to a larger disk"
        )


def _remove_unused(folder: Path, used: Path) -> None:
    """Remove caches that no run has opened for long. A run that still reads one keeps it until its end."""
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            if path != used and time.time() - path.stat().st_mtime > UNUSED_DAYS * 86_400:
                path.unlink()
                log.info("data.cache=disk: %s is removed, unused for %d days", path, UNUSED_DAYS)


def _checksum(image: np.ndarray) -> int:
    return 1 << 63 | zlib.crc32(image.data)


def stamp_of(status: os.stat_result) -> int:
    """Return 64 bits that change with a file."""
    facts = struct.pack("<3q", status.st_mtime_ns, status.st_size, status.st_ino & (1 << 62) - 1)
    return int.from_bytes(hashlib.blake2b(facts, digest_size=8).digest())

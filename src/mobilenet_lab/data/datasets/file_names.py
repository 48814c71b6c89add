"""The paths of the files of a data set, in a compact form."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np


class FileNames(Sequence[str]):
    """Relative paths as the bytes of their names, without a Python object per file.

    A million names take 20 MB instead of 100 MB. Worker processes share them: reading a name changes no
    reference count in their memory.

    Args:
        folders: Relative path of each folder.
        names: For each folder, the names of its files, each followed by a zero byte.
        counts: For each folder, the number of its files.
    """

    def __init__(self, folders: Sequence[str], names: Sequence[bytes], counts: Sequence[int]) -> None:
        self._prefixes = [os.fsencode(os.path.join(folder, "")) if folder else b"" for folder in folders]
        self._firsts = np.cumsum([0, *counts])  # the first file of each folder
        self._names = list(names)
        self._ends = np.empty(self._firsts[-1], np.uint32)  # of a name among those of its folder
        for first, count, text in zip(self._firsts, counts, names, strict=False):
            self._ends[first : first + count] = np.flatnonzero(np.frombuffer(text, np.uint8) == 0)
        self._positions: np.ndarray | None = None  # of the files in the list, if it is a selection

    def __len__(self) -> int:
        return len(self._ends) if self._positions is None else len(self._positions)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one path, or a list of paths for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        position = int(index if self._positions is None else self._positions[index]) % len(self._ends)
        folder = int(np.searchsorted(self._firsts, position, side="right")) - 1
        begin = int(self._ends[position - 1]) + 1 if position > self._firsts[folder] else 0
        return os.fsdecode(self._prefixes[folder] + self._names[folder][begin : int(self._ends[position])])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def select(self, positions: np.ndarray) -> "FileNames":
        """Return some of the files: those at these positions, int64, shape (n,)."""
        chosen = FileNames.__new__(FileNames)
        chosen.__dict__ |= self.__dict__
        chosen._positions = (positions if self._positions is None else self._positions[positions]).astype(
            np.int64
        )
        return chosen

    def digest(self) -> bytes:
        """Return a hash of all paths in their order."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (b"\0".join(self._prefixes), self._firsts.tobytes(), *self._names):
            digest.update(len(part).to_bytes(8))
            digest.update(part)
        if self._positions is not None:
            digest.update(self._positions.tobytes())
        return digest.digest()

"""Walk folders of images: hidden names are skipped, and a linked folder is entered once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mobilenet_lab.data.datasets.folder_contents import FolderContents
from mobilenet_lab.runtime.errors import InputError

ReadFolder = Callable[[str], FolderContents]  # `folder_contents.read_folder`, or `FolderIndex.read`


class Links:
    """Decides which links to folders the walks of one split follow, so that no image counts twice.

    Links to folders in or above the split are not followed: its images are found without them.

    Args:
        split: Folder of the classes.
    """

    def __init__(self, split: Path) -> None:
        self._split = os.path.realpath(split)
        self._real: dict[str, str] = {}  # target of each entered folder outside of the split
        self._owner: dict[str, str] = {}  # class of each of these targets

    def is_listed(self, real: str) -> bool:
        """Return whether a walk of the split finds a folder without links."""
        return is_inside(real, self._split) and f"{os.sep}." not in real[len(self._split) :]

    def enter(self, folder: str, owner: str) -> bool:
        """Return whether to enter a folder.

        Args:
            folder: Its path.
            owner: Path of the class that it belongs to.

        Raises:
            InputError: Another class has entered the same folder through a link.
        """
        parent, name = os.path.split(folder)
        if os.path.islink(folder):  # noqa: PTH114 - a Path per folder would take three times as long
            real = os.path.realpath(folder)
        elif parent in self._real:
            real = os.path.join(self._real[parent], name)
        else:  # an ordinary folder of the split
            return True
        if folder == owner and real == self._split:  # a walk of the whole split
            return True
        if self.is_listed(real) or is_inside(self._split, real):
            return False
        if real in self._owner:
            if (other := self._owner[real]) != owner:
                raise InputError(
                    f"{folder}: leads to the same images as a link in {other}; remove one of the two, since "
                    "an image has one class"
                )
            return False
        self._real[folder], self._owner[real] = real, owner
        return True


def walk(folder: Path, read: ReadFolder, links: Links) -> Iterator[tuple[str, FolderContents]]:
    """Yield the path and contents of a folder and of the folders below it, each before those within it.

    Args:
        folder: Where to start; it may be a link itself.
        read: Returns the contents of a folder.
        links: Decides which links to folders to follow.

    Raises:
        OSError: A folder cannot be read.
    """
    top = os.fspath(folder)
    waiting = [top] if links.enter(top, top) else []
    while waiting:
        path = waiting.pop()
        contents = read(path)
        if contents.is_run:
            continue
        below = [os.path.join(path, name) for name in contents.folders]
        waiting += reversed([each for each in below if links.enter(each, top)])
        yield path, contents


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path is a folder or below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)

"""Walk folders of images: hidden names are skipped, and a linked folder is entered once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import InputError

CONFIG, CHECKPOINTS = RunFolder(Path()).config.name, RunFolder(Path()).checkpoints.name

OnError = Callable[[OSError], None] | None


def raise_error(error: OSError) -> None:
    """Raise the error of an unreadable folder."""
    raise error


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


def walk_files(folder: Path, onerror: OnError = raise_error, links: Links | None = None) -> Iterator[str]:
    """Yield every file in and below a folder, sorted by name within each folder.

    Args:
        folder: Where to start; it may be a link itself.
        onerror: Called with the error of an unreadable folder, raises it by default; None skips the folder.
        links: Decides which links to folders to follow; None follows none.
    """
    top = os.fspath(folder)
    if links is not None and not links.enter(top, top):
        return
    for parent, folders, files in os.walk(top, onerror=onerror, followlinks=links is not None):
        # A run within the data, or the links to one, whose folder of checkpoints may not exist yet: its plots
        # are not images of a class.
        if links is not None and CONFIG in files and CHECKPOINTS in (*folders, *files):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if links is not None:
            folders[:] = [name for name in folders if links.enter(os.path.join(parent, name), top)]
        for file in sorted(name for name in files if not name.startswith(".")):
            yield os.path.join(parent, file)


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path is a folder or below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)

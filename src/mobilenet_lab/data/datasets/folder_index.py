"""The contents of all folders of a data set, kept in the user's cache folder from run to run.

Listing a million files takes seconds. Whether a folder has changed since takes microseconds: adding, removing
or renaming a file changes its times.
"""

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

from mobilenet_lab.data.datasets.folder_contents import FolderContents, read_folder
from mobilenet_lab.data.image_formats import READABLE_EXTENSIONS
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.user_cache import user_cache_folder

log = logging.getLogger(__name__)
FORMAT = 1
MIN_FILES = 10_000  # fewer are listed faster than it is worth to keep
SETTLED_NS = 2_000_000_000  # a later change within the resolution of a file system's clock would not be seen
DIGEST_SIZE = 16


class Stamp(NamedTuple):
    """What changes when the names in a folder change. No tool can set the time of the last change."""

    modified_ns: int
    changed_ns: int
    inode: int


class FolderIndex:
    """Reads folders, and remembers their contents as long as they do not change.

    Args:
        root: Folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._known: dict[str, tuple[Stamp, FolderContents]] | None = None
        self._was_read: set[str] = set()
        self._has_news = False

    def read(self, folder: str) -> FolderContents:
        """Return the contents of a folder; see `folder_contents.read_folder`."""
        if self._known is None:
            self._known = self._load()
        key = os.path.abspath(folder)  # noqa: PTH100 - links stay as they are
        self._was_read.add(key)
        known, stamp = self._known.get(key), _stamp_of(folder)
        if known is not None and known[0] == stamp and _links_lead_as_before(folder, known[1]):
            return known[1]
        is_settled = time.time_ns() - max(stamp.modified_ns, stamp.changed_ns) > SETTLED_NS
        contents = read_folder(folder)
        if is_settled:
            self._known[key] = stamp, contents
            self._has_news = True
        return contents

    def save(self) -> None:
        """Write the index to the cache folder, if it has changed and the folder is writable."""
        if not self._has_news:
            return
        self._has_news = False
        known = {
            path: entry
            for path, entry in (self._known or {}).items()
            if path in self._was_read or os.path.isdir(path)  # noqa: PTH112
        }
        if sum(map(_num_files, known.values())) < MIN_FILES:
            return
        try:
            write_atomically(self._path, lambda scratch: _write(scratch, known))
        except OSError as error:
            log.debug("%s: the index of files is not kept: %s", self._path, error)

    @property
    def _path(self) -> Path:
        key = json.dumps([FORMAT, self._root, sorted(READABLE_EXTENSIONS)])
        return user_cache_folder() / "folders" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.index"

    def _load(self) -> dict[str, tuple[Stamp, FolderContents]]:
        try:
            return _read(self._path)
        except OSError:
            return {}


def _stamp_of(folder: str) -> Stamp:
    status = os.stat(folder)  # noqa: PTH116 - a Path per folder would take three times as long
    return Stamp(status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _links_lead_as_before(folder: str, contents: FolderContents) -> bool:
    return all(
        os.path.isdir(os.path.join(folder, name)) == is_folder  # noqa: PTH112 - a Path would take longer
        for name, is_folder in contents.links.items()
    )


def _num_files(known: tuple[Stamp, FolderContents]) -> int:
    return known[1].num_images + sum(known[1].others.values())


def _write(path: Path, known: dict[str, tuple[Stamp, FolderContents]]) -> None:
    """Write a digest, the length of a JSON text, the text, and the names of all images, folder by folder."""
    rows, names = [], _new_digest()
    for folder, (stamp, contents) in known.items():
        rows.append(vars(contents) | {"path": folder, "stamp": stamp, "images": len(contents.images)})
        names.update(contents.images)
    text = json.dumps({"folders": rows, "names": names.hexdigest()}).encode()
    with path.open("wb") as file:
        file.write(_new_digest(text).digest() + len(text).to_bytes(8) + text)
        file.writelines(contents.images for _, contents in known.values())


def _read(path: Path) -> dict[str, tuple[Stamp, FolderContents]]:
    """Invert `_write`; return an empty index for a damaged one."""
    known, names = {}, _new_digest()
    with path.open("rb") as file:
        digest = file.read(DIGEST_SIZE)
        length = int.from_bytes(file.read(8))
        text = file.read(min(length, path.stat().st_size))
        if _new_digest(text).digest() != digest:
            return {}
        header = json.loads(text)
        for row in header["folders"]:
            images = file.read(row["images"])
            names.update(images)
            folder, stamp = row.pop("path"), Stamp(*row.pop("stamp"))
            known[folder] = stamp, FolderContents(**row | {"images": images})
    return known if names.hexdigest() == header["names"] else {}


def _new_digest(content: bytes = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE)

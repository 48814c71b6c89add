"""The names in one folder of images, in a compact form."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mobilenet_lab.data.image_formats import READABLE_EXTENSIONS
from mobilenet_lab.runs.folder import RunFolder

CONFIG, CHECKPOINTS = RunFolder(Path()).config.name, RunFolder(Path()).checkpoints.name


@dataclass(frozen=True)
class FolderContents:
    """What one folder holds. Names that start with a dot do not count.

    Attributes:
        images: Names of the image files in order, each followed by a zero byte. A million names in a list of
            strings would take five times the memory.
        num_images: Their number.
        folders: Names of the folders and of the links to folders, in order.
        links: For each link without the extension of an image, whether it leads to a folder.
        others: Number of other files by extension.
        is_run: Whether this is the folder of a training run, whose plots are not images of a class. Its
            checkpoints may be a link that leads nowhere yet.
    """

    images: bytes = b""
    num_images: int = 0
    folders: list[str] = field(default_factory=list)
    links: Mapping[str, bool] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    is_run: bool = False


def read_folder(path: str) -> FolderContents:
    """Read the names in a folder.

    Files are recognized by their extension. A link with the extension of an image counts as one, so that its
    target is looked up only when the image is read.

    Raises:
        OSError: The folder cannot be read.
    """
    images: list[str] = []
    folders: list[str] = []
    names: list[str] = []  # of other files
    links: dict[str, bool] = {}
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            is_image = extension_of(name) in READABLE_EXTENSIONS
            is_link = entry.is_symlink()
            is_folder = False if is_link and is_image else entry.is_dir()
            if is_link and not is_image:
                links[name] = is_folder
            (folders if is_folder else images if is_image else names).append(name)
    images.sort()
    return FolderContents(
        images=b"".join([os.fsencode(name) + b"\0" for name in images]),
        num_images=len(images),
        folders=sorted(folders),
        links=links,
        others=Counter(map(extension_of, sorted(names))),
        is_run=CONFIG in names and CHECKPOINTS in (*folders, *names),
    )


def extension_of(path: str) -> str:
    """Return the extension of a file name, in lower case and with its dot; "" without one."""
    return os.path.splitext(path)[1].lower()

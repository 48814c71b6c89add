"""Find the folders of the splits in a data set, whatever a tool has called them."""

import logging
from collections.abc import Mapping
from pathlib import Path

from mobilenet_lab.data.datasets.file_listing import has_images, has_unreadable_images
from mobilenet_lab.data.datasets.folder_tree import ReadFolder
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
# Names of a split's folder, in lower case
NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "eval", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}


def find_splits(root: Path, read: ReadFolder) -> dict[str, Path]:
    """Return the folder of each split that a data set has; empty if `root` holds the classes.

    A folder train without val and test is a split if there is no other folder with images next to it.

    Args:
        root: Folder of the data set.
        read: Returns the contents of a folder.

    Raises:
        InputError: A split has two folders, training images are missing, or it is not clear which folders are
            classes.
    """
    found: dict[str, Path] = {}
    for folder in _subfolders(root):
        split = SPLIT_OF.get(folder.name.lower())
        if split is None or not _is_split(folder, read):
            continue
        if split in found:
            raise InputError(
                f"{root}: {found[split].name} and {folder.name} both look like the {split} split; "
                "merge them or rename one"
            )
        found[split] = folder
    if "train" not in found:
        if len(found) < 2:
            return {}
        names = ", ".join(path.name for path in found.values())
        raise InputError(
            f"{root}: {names} look like splits, not classes, but there is no folder train; add it or rename "
            "them"
        )
    others = _other_folders(root, found, read) if len(found) == 1 else []
    if others and _holds_classes(found["train"], read):
        raise InputError(
            f"{root}: {found['train'].name} looks like a split, but {printable(', '.join(others))} like "
            "classes; move either somewhere else"
        )
    return {} if others else found


def warn_of_other_folders(root: Path, splits: Mapping[str, Path], read: ReadFolder) -> None:
    """Warn of folders next to those of the splits that hold images, or have the name of a split but none."""
    if not splits:
        return
    names = ", ".join(path.name for path in splits.values())
    if others := _other_folders(root, splits, read):
        log.warning("%s: only the splits %s are read, not %s", root, names, printable(", ".join(others)))
    for path in _subfolders(root):
        if path.name.lower() in SPLIT_OF and path not in splits.values():
            log.warning("%s: no images in %s, so it is not used as a split", root, path.name)


def _other_folders(root: Path, splits: Mapping[str, Path], read: ReadFolder) -> list[str]:
    """Return the names of the folders with images next to those of the splits."""
    return [path.name for path in _subfolders(root) if path not in splits.values() and has_images(path, read)]


def _is_split(folder: Path, read: ReadFolder) -> bool:
    """Return whether a folder holds images, or folders with files that were meant to be images."""
    return has_images(folder, read) or any(has_unreadable_images(path, read) for path in _subfolders(folder))


def _holds_classes(folder: Path, read: ReadFolder) -> bool:
    return sum(has_images(path, read) for path in _subfolders(folder)) > 1


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.is_dir()]

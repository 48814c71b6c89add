"""List the image files of a folder tree, and check which can be decoded."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mobilenet_lab.data.corrupt_images import find_corrupt_images
from mobilenet_lab.data.datasets.file_names import FileNames
from mobilenet_lab.data.datasets.folder_tree import Links, ReadFolder, walk
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
# Formats of images, volumes and videos that are not read
OTHER_EXTENSIONS = {".ai", ".arw", ".avi", ".avif", ".cr2", ".cr3", ".dcm", ".dng", ".eps", ".exr", ".hdr"}
OTHER_EXTENSIONS |= {".heic", ".heif", ".hif", ".ico", ".j2k", ".jp2", ".jpf", ".jpx", ".jxl", ".mat", ".mov"}
OTHER_EXTENSIONS |= {".mp4", ".nef", ".nii", ".npy", ".npz", ".orf", ".pcx", ".pdf", ".pic", ".pict", ".psd"}
OTHER_EXTENSIONS |= {".raf", ".raw", ".rw2", ".svg", ".tga", ".webm", ".xcf"}
NUM_NAMED = 3  # corrupt files that the log names
PROGRESS_AFTER_S = 2.0  # checking files for longer shows a progress bar


def list_classes(folder: Path, read: ReadFolder, skip_unreadable: bool = False) -> list[str]:
    """Return the names of the subfolders that contain images, in natural order: 2 before 10.

    Args:
        folder: Folder of the classes.
        read: Returns the contents of a folder.
        skip_unreadable: Whether to leave out subfolders whose images have other formats than those read.

    Raises:
        InputError: Two subfolders lead to the same images, or no image of a subfolder can be read.
        PermissionError: A folder is not readable.
    """
    names: dict[Path, str] = {}
    unreadable: list[str] = []
    root, links = folder.resolve(), Links(folder)
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not _is_folder(entry):
            continue
        target = entry.resolve()
        if root.is_relative_to(target):  # a link to a parent, which contains the images of all classes
            continue
        is_listed = entry.is_symlink() and links.is_listed(str(target))
        if target in names or is_listed:
            other = target.relative_to(root) if is_listed else names[target]
            raise InputError(
                f"{entry}: the same folder as {folder / other}; remove one of the two, since an "
                "image has one class"
            )
        if has_images(entry, read, links):
            names[target] = entry.name
            continue
        others = _extensions_in(entry, read)
        what = f"{printable(str(entry))} {f'holds only {_counts(others)}' if others else 'is empty'}"
        if _are_images(others):
            unreadable.append(what)
        else:
            log.info("%s; it is not a class", what)
    if unreadable and not skip_unreadable:
        more = f" (and {len(unreadable) - 1} more such folders)" if len(unreadable) > 1 else ""
        raise InputError(
            f"{unreadable[0]}, no image that can be read{more}; convert the files to PNG or JPEG, move the "
            "folder elsewhere, or leave it out with data.source.on_empty_class=skip"
        )
    for words in unreadable:
        log.warning("data.source.on_empty_class=skip: %s; the folder is left out", words)
    return sorted(names.values(), key=natural_key)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return the key that sorts names by the value of the numbers in them: "a2" before "a10"."""
    parts = re.split("([0-9]+)", name)  # text and digits alternate, so keys are comparable
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def has_images(folder: Path, read: ReadFolder, links: Links | None = None) -> bool:
    """Return whether there is an image file in the folder or below it."""
    return any(contents.num_images for _, contents in walk(folder, read, links or Links(folder)))


def has_unreadable_images(folder: Path, read: ReadFolder) -> bool:
    """Return whether a folder without images that can be read holds files that seem to be images."""
    return _are_images(_extensions_in(folder, read))


def list_images_of_classes(
    folder: Path, names: Sequence[str | None], read: ReadFolder
) -> tuple[FileNames, np.ndarray]:
    """List the images of a split in a fixed order, and log the number of other files.

    Args:
        folder: Folder of the classes.
        names: Name of the folder of each class, by label; None for a class without images.
        read: Returns the contents of a folder.

    Returns:
        Paths relative to `folder`, and labels, the smallest unsigned integers, shape (N,).
    """
    others: Counter[str] = Counter()
    links, start = Links(folder), len(os.path.join(folder, ""))
    folders: list[str] = []
    images: list[bytes] = []
    counts: list[int] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        for path, contents in walk(folder / name, read, links) if name is not None else ():
            others.update(contents.others)
            if contents.num_images:
                folders.append(path[start:])
                images.append(contents.images)
                counts.append(contents.num_images)
                labels.append(label)
    warn_of_other_files(folder, others)
    return FileNames(folders, images, counts), np.repeat(smallest_labels(labels, len(names)), counts)


def smallest_labels(labels: Sequence[int], num_classes: int) -> np.ndarray:
    """Return labels as unsigned integers with no more bytes than the number of classes needs, shape (N,)."""
    return np.array(labels, np.min_scalar_type(max(0, num_classes - 1)))


def warn_of_other_files(folder: Path, others: Counter[str]) -> None:
    """Log the number of files by extension that are not images."""
    if others:
        log.warning("%s: files without the extension of an image are left out: %s", folder, _counts(others))


def _is_folder(entry: Path) -> bool:
    """Return whether an entry is a folder or a link to one, and log a link to nothing."""
    if entry.is_symlink() and not entry.exists():
        log.warning("%s: left out, because the target of the link does not exist", printable(str(entry)))
    return entry.is_dir()


def _extensions_in(folder: Path, read: ReadFolder) -> Counter[str]:
    others: Counter[str] = Counter()
    for _, contents in walk(folder, read, Links(folder)):
        others.update(contents.others)
    return others


def _are_images(extensions: Counter[str]) -> bool:
    return bool(extensions.keys() & OTHER_EXTENSIONS) or extensions.keys() == {""}


def _counts(extensions: Counter[str]) -> str:
    return ", ".join(f"{n} {printable(ending) or 'without'}" for ending, n in extensions.most_common())


def find_decodable(folder: Path, files: Sequence[str]) -> np.ndarray:
    """Return the positions of the files that can be decoded, and log how many cannot: int64, shape (n,)."""
    bar: Iterable[InputError | None] = tqdm(
        find_corrupt_images(folder / file for file in files),
        total=len(files),
        unit=" images",
        desc="checking",
        delay=PROGRESS_AFTER_S,
        leave=False,
        disable=None,
    )
    is_good = np.fromiter((error is None for error in bar), np.bool_, len(files))
    corrupt = [printable(files[int(i)]) for i in np.flatnonzero(~is_good)]
    if corrupt:
        log.warning(
            "data.on_corrupt_image=skip: %d of %d files in %s cannot be decoded and are left out: %s%s",
            len(corrupt),
            len(files),
            folder,
            ", ".join(corrupt[:NUM_NAMED]),
            ", ..." if len(corrupt) > NUM_NAMED else "",
        )
    return np.flatnonzero(is_good)

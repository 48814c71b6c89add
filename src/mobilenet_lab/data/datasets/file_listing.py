"""List the image files of a folder tree, and check which can be decoded."""

import logging
import os
import re
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

from mobilenet_lab.data.datasets.folder_tree import Links, OnError, raise_error, walk_files
from mobilenet_lab.data.image_formats import READABLE_EXTENSIONS
from mobilenet_lab.data.images import find_corrupt_images
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


def list_classes(folder: Path, skip_unreadable: bool = False) -> list[str]:
    """Return the names of the subfolders that contain images, in natural order: 2 before 10.

    Args:
        folder: Folder of the classes.
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
        if has_images(entry, links):
            names[target] = entry.name
            continue
        others = _extensions_in(entry)
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


def has_images(folder: Path, links: Links | None = None) -> bool:
    """Return whether there is an image file in the folder or below it."""
    return any(
        _extension(path) in READABLE_EXTENSIONS for path in walk_files(folder, links=links or Links(folder))
    )


def has_unreadable_images(folder: Path) -> bool:
    """Return whether a folder without images that can be read holds files that seem to be images."""
    return _are_images(_extensions_in(folder))


def list_image_files(
    folder: Path,
    other_extensions: Counter[str] | None = None,
    onerror: OnError = raise_error,
    extensions: Container[str] = READABLE_EXTENSIONS,
    *,
    links: Links | None = None,
) -> list[str]:
    """Return the image files in and below a folder, as relative paths in a fixed order.

    Files are recognized by their extension.

    Args:
        folder: Names that start with a dot are skipped.
        other_extensions: Receives the number of other files by extension.
        onerror: Called with the error of an unreadable folder, raises it by default; None skips the folder.
        extensions: Extensions of images, in lower case.
        links: Decides which links to folders to follow; None follows none.
    """
    files = []
    prefix = len(os.path.join(folder, ""))
    for path in walk_files(folder, onerror, links):
        if _extension(path) in extensions:
            files.append(path[prefix:])
        elif other_extensions is not None:
            other_extensions[_extension(path)] += 1
    return files


def warn_of_other_files(folder: Path, others: Counter[str]) -> None:
    """Log the number of files by extension that are not images."""
    if others:
        log.warning("%s: files without the extension of an image are left out: %s", folder, _counts(others))


def _is_folder(entry: Path) -> bool:
    """Return whether an entry is a folder or a link to one, and log a link to nothing."""
    if entry.is_symlink() and not entry.exists():
        log.warning("%s: left out, because the target of the link does not exist", printable(str(entry)))
    return entry.is_dir()


def _extensions_in(folder: Path) -> Counter[str]:
    return Counter(_extension(path) for path in walk_files(folder, links=Links(folder)))


def _are_images(extensions: Counter[str]) -> bool:
    return bool(extensions.keys() & OTHER_EXTENSIONS) or extensions.keys() == {""}


def _counts(extensions: Counter[str]) -> str:
    return ", ".join(f"{n} {printable(ending) or 'without'}" for ending, n in extensions.most_common())


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def find_decodable(folder: Path, files: list[str]) -> list[int]:
    """Return the positions of the files that can be decoded, and log how many cannot."""
    from tqdm import tqdm  # prediction imports this module too, and needs no progress bar

    bar: Iterable[InputError | None] = tqdm(
        find_corrupt_images([folder / file for file in files]),
        total=len(files),
        unit=" images",
        desc="checking",
        delay=PROGRESS_AFTER_S,
        leave=False,
        disable=None,
    )
    errors = list(bar)
    corrupt = [printable(file) for file, error in zip(files, errors, strict=True) if error]
    if corrupt:
        log.warning(
            "data.on_corrupt_image=skip: %d of %d files in %s cannot be decoded and are left out: %s%s",
            len(corrupt),
            len(files),
            folder,
            ", ".join(corrupt[:NUM_NAMED]),
            ", ..." if len(corrupt) > NUM_NAMED else "",
        )
    return [i for i, error in enumerate(errors) if not error]

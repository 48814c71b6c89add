"""List the image files of a folder tree, and check which can be decoded."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from mobilenet_lab.data.image_formats import READABLE_EXTENSIONS
from mobilenet_lab.data.images import find_corrupt_images
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
NUM_NAMED = 3  # corrupt files that the log names
PROGRESS_AFTER_S = 2.0  # checking files for longer shows a progress bar

OnError = Callable[[OSError], None] | None


def list_classes(folder: Path) -> list[str]:
    """Return the names of the subfolders that contain images, sorted.

    Raises:
        InputError: Two subfolders are links to the same folder, so its images would count twice.
        PermissionError: A folder is not readable.
    """
    names: dict[Path, str] = {}
    root = folder.resolve()
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        target = entry.resolve()
        if root.is_relative_to(target):  # a link to a parent, which contains the images of all classes
            continue
        if target in names:
            raise InputError(
                f"{entry}: the same folder as {folder / names[target]}; remove one of the two, since an "
                "image has one class"
            )
        if has_images(entry):
            names[target] = entry.name
    return sorted(names.values())


def has_images(folder: Path) -> bool:
    """Return whether there is an image file in the folder or below it."""
    return any(_extension(path) in READABLE_EXTENSIONS for path in _walk(folder, _raise))


def _raise(error: OSError) -> None:
    raise error


def list_image_files(
    folder: Path,
    other_extensions: Counter[str] | None = None,
    onerror: OnError = _raise,
    extensions: Container[str] = READABLE_EXTENSIONS,
) -> list[str]:
    """Return the image files in and below a folder, as relative paths in a fixed order.

    Files are recognized by their extension.

    Args:
        folder: Names that start with a dot are skipped, and links to folders are not followed.
        other_extensions: Receives the number of other files by extension.
        onerror: Called with the error of an unreadable folder, raises it by default; None skips the folder.
        extensions: Extensions of images, in lower case.
    """
    files = []
    for path in _walk(folder, onerror):
        if _extension(path) in extensions:
            files.append(os.path.relpath(path, folder))
        elif other_extensions is not None:
            other_extensions[_extension(path)] += 1
    return files


def _walk(folder: Path, onerror: OnError) -> Iterator[str]:
    """Yield every file in and below a folder, sorted by name within each folder."""
    for parent, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(name for name in files if not name.startswith(".")):
            yield os.path.join(parent, file)


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

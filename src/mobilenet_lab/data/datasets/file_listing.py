"""Images in one folder a class: only names are held, a batch's images are decoded when asked for."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from mobilenet_lab.data.images import find_corrupt_images, printable
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)
EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".jpe", ".jfif", ".pbm", ".pgm", ".pnm", ".ppm", ".png"}
EXTENSIONS |= {".tif", ".tiff", ".webp"}
NUM_NAMED = 3  # of the files left out
PATIENCE_S = 2.0  # looking through files for longer shows a bar


def classes_in(folder: Path) -> list[str]:
    """The folders that hold images, sorted.

    Raises:
        InputError: by links, two of them are the same, and images would count twice.
        PermissionError: a folder may not be read.
    """
    names: dict[Path, str] = {}
    here = folder.resolve()
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        place = entry.resolve()
        if here.is_relative_to(place):  # a link back; its images are those of all classes
            continue
        if place in names:
            raise InputError(
                f"{entry}: the same folder as {folder / names[place]}; remove one of the two, as a image "
                "has one class"
            )
        if list_image_files(entry):
            names[place] = entry.name
    return sorted(names.values())


def _raise(error: OSError) -> None:
    raise error


def list_image_files(
    folder: Path,
    others: Counter[str] | None = None,
    onerror: Callable[[OSError], None] | None = _raise,
) -> list[str]:
    """Files below a folder that have a image's ending, by their names below it, in a fixed order.

    Args:
        folder: Names in it that begin with a dot are left out, and links to folders are not followed.
        others: Counts the endings of the other files.
        onerror: Hears of a folder that may not be read, and raises its error; None leaves such folders out.
    """
    found = []
    for parent, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(name for name in files if not name.startswith(".")):
            ending = os.path.splitext(file)[1].lower()
            if ending in EXTENSIONS:
                found.append(os.path.relpath(os.path.join(parent, file), folder))
            elif others is not None:
                others[ending] += 1
    return found


def readable(folder: Path, files: list[str]) -> list[int]:
    """Positions of the files that can be decoded; the number of the others is reported."""
    from tqdm import tqdm  # here, as prediction does without

    bar: Iterable[InputError | None] = tqdm(
        find_corrupt_images([folder / file for file in files]),
        total=len(files),
        unit=" images",
        desc="checking",
        delay=PATIENCE_S,
        leave=False,
        disable=None,
    )
    errors = list(bar)
    bad = [printable(file) for file, error in zip(files, errors, strict=True) if error]
    if bad:
        log.warning(
            "data.on_corrupt_image=skip: %d of %d files in %s cannot be decoded and are left out: %s%s",
            len(bad),
            len(files),
            folder,
            ", ".join(bad[:NUM_NAMED]),
            ", ..." if len(bad) > NUM_NAMED else "",
        )
    return [i for i, error in enumerate(errors) if not error]

"""Name what images show, from a checkpoint alone: neither Lightning nor the training code is imported."""

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from mobilenet_lab.data.datasets.file_listing import list_image_files
from mobilenet_lab.data.images import printable

STANDARD_INPUT = "-"
MAX_NAME = 60  # characters of one that no file system takes, in messages


def list_images(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files that names, folders and globs mean, in the order given; a folder's are sorted.

    Returns:
        The files, and a message for each pattern that means none.
    """
    names: list[str] = []
    failures: list[str] = []
    for pattern in patterns:
        try:
            found = _files_of(pattern)
        except OSError as error:
            shown = pattern if len(pattern) <= MAX_NAME else f"{pattern[:MAX_NAME]}..."
            failures.append(f"image={printable(shown)}: {error.strerror}")
            continue
        if not found:
            reason = "no images in it" if Path(pattern).is_dir() else "no such file"
            failures.append(f"image={printable(pattern)}: {reason}")
        names += found
    return names, failures


def _files_of(pattern: str) -> list[str]:
    """Links to folders are followed where they are named, and not further down, so that loops end.

    Raises:
        OSError: no file can have this name, or a folder may not be read.
    """
    path = Path(pattern)
    if pattern == STANDARD_INPUT or path.is_file():
        return [pattern]
    if path.is_dir():
        next(path.iterdir(), None)  # tells when it may not be read; folders further down are left out then
        images = (path / name for name in list_image_files(path, onerror=None))
        return sorted(str(file) for file in images if file.is_file())
    first, *others = pattern.split("/")
    parts = [first or "/", *others] if others else [first]
    if "**" not in parts:
        return sorted(p for p in glob.glob(pattern) if Path(p).is_file())
    depth = parts.index("**")
    start = os.path.join(*parts[:depth]) if depth else ""
    found = []
    for folder in glob.glob(start) if start else ["."]:
        for parent, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(parent, name) for name in files if not name.startswith(".")):
                if _match(file.relative_to(folder).parts, parts[depth:]) and file.is_file():
                    found.append(str(file))
    return sorted(found)


def _match(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether a path's parts match a glob's, of which `**` stands for any number."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_match(names[i:], patterns[1:]) for i in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _match(names[1:], patterns[1:])

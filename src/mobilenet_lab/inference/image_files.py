"""Expand file names, folders and globs to image files."""

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from mobilenet_lab.data.datasets.file_listing import list_image_files
from mobilenet_lab.data.images import printable

STANDARD_INPUT = "-"
MAX_NAME = 60  # characters of an impossible file name that messages quote


def list_images(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files that names, folders and globs refer to, in the given order.

    Args:
        patterns: File names, `-`, folders, or globs in which `**` matches any number of folders.

    Returns:
        The files, those of a folder or glob sorted, and a message for each pattern without files.
    """
    names: list[str] = []
    failures: list[str] = []
    for pattern in patterns:
        try:
            found = _expand(pattern)
        except OSError as error:
            shown = pattern if len(pattern) <= MAX_NAME else f"{pattern[:MAX_NAME]}..."
            failures.append(f"image={printable(shown)}: {error.strerror}")
            continue
        if not found:
            reason = "contains no images" if Path(pattern).is_dir() else "no such file"
            failures.append(f"image={printable(pattern)}: {reason}")
        names += found
    return names, failures


def _expand(pattern: str) -> list[str]:
    """List the files of one pattern.

    Links to folders are followed if the pattern names them, but not further down, so that loops end.

    Raises:
        OSError: No file can have this name, or a folder is not readable.
    """
    path = Path(pattern)
    if pattern == STANDARD_INPUT or path.is_file():
        return [pattern]
    if path.is_dir():
        next(path.iterdir(), None)  # fails if the folder is not readable; unreadable ones below are skipped
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
                if _matches(file.relative_to(folder).parts, parts[depth:]) and file.is_file():
                    found.append(str(file))
    return sorted(found)


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Compare a path's parts with those of a glob, in which `**` matches any number of them."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[i:], patterns[1:]) for i in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])

"""Expand file names, folders and globs to image files."""

import glob
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from mobilenet_lab.data.datasets.folder_contents import extension_of
from mobilenet_lab.data.image_formats import EXTENSIONS, HEIC_EXTENSIONS
from mobilenet_lab.data.images import describe_kind
from mobilenet_lab.inference.web_addresses import is_url
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)
STANDARD_INPUT = "-"
ALL_EXTENSIONS = EXTENSIONS | HEIC_EXTENSIONS  # so that HEIC is not left out, but asks for its package
MAX_NAME = 60  # characters of an impossible file name that messages quote


def list_images(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files that names, folders and globs refer to, in the given order.

    Args:
        patterns: File names, web addresses, `-`, folders, or globs in which `**` matches any number of
            folders.

    Returns:
        The files, those of a folder or glob sorted, and a message for each pattern without files.
    """
    names: list[str] = []
    failures: list[str] = []
    others: Counter[str] = Counter()
    for pattern in patterns:
        try:
            found = _expand(pattern, others)
            if not found:
                failures.append(f"image={pattern}: {_why_nothing(pattern)}")
        except OSError as error:
            shown = pattern if len(pattern) <= MAX_NAME else f"{pattern[:MAX_NAME]}..."
            failures.append(f"image={shown}: {error.strerror}")
            continue
        names += found
    if others:
        counts = ", ".join(f"{count} {ending or 'without'}" for ending, count in others.most_common())
        log.warning("files without the extension of an image are left out: %s", printable(counts))
    return names, [printable(failure) for failure in failures]


def _why_nothing(pattern: str) -> str:
    """Say why a pattern has no files.

    Raises:
        OSError: The path cannot be looked up.
    """
    path = Path(pattern)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"links to {path.readlink()}, which does not exist" if path.is_symlink() else "no such file"
    if stat.S_ISDIR(mode):
        return "contains no images"
    return f"is {describe_kind(mode)}, not a file; pipe its contents into image=-"


def _expand(pattern: str, others: Counter[str]) -> list[str]:
    """List the files of one pattern, and count the other files of a folder by extension.

    Links to folders are followed if the pattern names them, but not further down, so that loops end.

    Raises:
        OSError: No file can have this name, or a folder is not readable.
    """
    path = Path(pattern)
    if pattern == STANDARD_INPUT or is_url(pattern) or path.is_file():
        return [pattern]
    if path.is_dir():
        next(path.iterdir(), None)  # fails if the folder is not readable; unreadable ones below are skipped
        return sorted(str(file) for file in _images_below(path, others) if file.is_file())
    first, *rest = pattern.split("/")
    parts = [first or "/", *rest] if rest else [first]
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


def _images_below(folder: Path, others: Counter[str]) -> Iterator[Path]:
    """Yield the images in and below a folder, and count the other files by extension."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(name for name in files if not name.startswith(".")):
            if extension_of(file) in ALL_EXTENSIONS:
                yield Path(parent, file)
            else:
                others[extension_of(file)] += 1


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Compare a path's parts with those of a glob, in which `**` matches any number of them."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[i:], patterns[1:]) for i in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])

"""Files that a loss of power at any moment leaves whole: as they were, or as they shall be."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path


def write_durably(path: Path, write: Callable[[Path], object], keep: Path | None = None) -> None:
    """Write a file beside the old one, bring it onto the disk, and only then give it its name.

    Args:
        path: The file; its folder is made.
        write: Writes the content to the path that it is given.
        keep: The name that the old file gets, if there is one; None to let it go.

    Raises:
        OSError: it cannot be written, and what was there before is intact; or it is written, but may not
            be on the disk yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        write(scratch)
        sync(scratch)
        if keep is not None and path.exists():
            path.replace(keep)
        scratch.replace(path)
        sync(path.parent)
    except OSError:
        with contextlib.suppress(OSError):  # where the folder is the trouble, the first error tells
            scratch.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

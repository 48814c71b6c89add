"""What a run leaves for people: its result as JSON, curves and a confusion matrix as images."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    content = json.dumps(value, indent=2) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(content))


def write_atomically(path: Path, write: Callable[[Path], object], keep: Path | None = None) -> None:
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

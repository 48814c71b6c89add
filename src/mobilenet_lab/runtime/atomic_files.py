"""Atomic file writes: after a crash or a power failure, a file has either its old or its new contents."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    content = json.dumps(value, indent=2) + "\n"
    write_atomically(path, lambda scratch: scratch.write_text(content))


def write_atomically(path: Path, write: Callable[[Path], object], keep: Path | None = None) -> None:
    """Write a scratch file, sync it to the disk and rename it.

    Args:
        path: The file to write. Its folder is created.
        write: Writes the contents to the path it is given.
        keep: New name for the old file; None to overwrite it.

    Raises:
        OSError: The file cannot be written, and the old one is intact; or the new file is in place, but may
            not be on the disk yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes that write the same file must not write into each other's scratch file.
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(scratch)
        sync(scratch)
        if keep is not None and path.exists():
            with contextlib.suppress(FileNotFoundError):  # another process has renamed it first
                path.replace(keep)
        scratch.replace(path)
        sync(path.parent)
    except OSError:
        with contextlib.suppress(OSError):  # the first error says more
            scratch.unlink(missing_ok=True)
        raise


def replace_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a scratch file and rename it, without syncing: for many files that can be written again.

    Raises:
        OSError: The file cannot be written, and the old one is intact.
    """
    scratch = path.with_name(f".{os.getpid()}.tmp")  # short, for names of any length
    try:
        write(scratch)
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # the first error says more
            scratch.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

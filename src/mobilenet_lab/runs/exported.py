"""Tell an exported model from any other file."""

from pathlib import Path

MARK = b'"mnist_style"'  # in the metadata of every exported file; see `inference.model_metadata`


def is_export(path: Path) -> bool:
    """Return whether export.py has written a file."""
    return path.is_file() and MARK in path.read_bytes()

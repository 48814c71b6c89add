"""Names of files that are not valid UTF-8. Python represents their bytes as lone surrogates."""

import os
from pathlib import Path


def is_utf8(text: str) -> bool:
    """Return whether a text can be written to a UTF-8 file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown_path(path: str | Path) -> str:
    r"""Return a path for a message, with bytes that are not UTF-8 as escapes such as \xff."""
    return os.fsencode(path).decode(errors="backslashreplace")

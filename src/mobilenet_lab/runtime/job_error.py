"""Leave the error of a process for the sweep that has started it."""

import os
from contextlib import suppress
from pathlib import Path

from mobilenet_lab.runtime.environment import ERROR_FILE
from mobilenet_lab.runtime.text import printable


def record_error(message: str) -> None:
    """Write an error into the file that the sweep reads; the first error of several ranks is kept."""
    path = os.environ.get(ERROR_FILE)
    if path:
        with suppress(OSError), Path(path).open("x", encoding="utf-8") as file:
            file.write(printable(message))

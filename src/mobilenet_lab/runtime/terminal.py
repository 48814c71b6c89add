"""The size of a terminal, which is 0 x 0 in some containers and under `script`."""

import os
import sys
from typing import TextIO

# Sizes that tqdm assumes, instead of printing blank lines
ASSUMED = {"TQDM_NCOLS": "80", "TQDM_NROWS": "24"}


def terminal_columns(stream: TextIO) -> int:
    """Return the width of the terminal that a stream writes to; 0 if there is none or its size is unknown."""
    size = os.get_terminal_size(stream.fileno()) if stream.isatty() else os.terminal_size((0, 0))
    return size.columns if size.lines else 0


def assume_terminal_size() -> None:
    """Give the bars of tqdm a size on a terminal that has none: they would be blank."""
    if sys.stderr.isatty() and terminal_columns(sys.stderr) == 0:
        for name, value in ASSUMED.items():
            os.environ.setdefault(name, value)

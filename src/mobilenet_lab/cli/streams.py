"""The standard streams of the scripts."""

import os
import sys

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import accept_any_text

STREAMS = (0, 1, 2)  # file descriptors of standard input, output and error


def prepare_streams() -> None:
    """Open the standard streams that are closed, and let standard output print any text.

    The next file that is opened gets the lowest free descriptor. If that of standard error were free, a
    library's messages would end up in a checkpoint.

    Raises:
        InputError: Standard output is closed.
    """
    for descriptor in STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python sets the stream of a closed descriptor to None.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w")
    if sys.stdout is None:
        raise InputError("standard output: is closed; redirect it, for example to /dev/null")
    accept_any_text(sys.stdout)

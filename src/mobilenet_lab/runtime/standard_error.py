"""Keep what C and C++ libraries write to standard error out of the output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def discard_stderr() -> Iterator[None]:
    """Discard standard error, including what libraries write to its descriptor past Python."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

"""What the scripts share: paths without quoting, errors as one line, sweeps as processes of their own."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.config.override_quoting import quote_paths
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.sweeps.process_launcher import FAILED_JOBS


def run(main: Callable[[], None]) -> None:
    """Start a script's Hydra main, with errors that a user can mend as one line.

    Exits with 2 after such an error and with 130 after an interrupt.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hands us the errors that Hydra would print itself
    with one_line_errors():
        sys.argv[1:] = quote_paths(sys.argv[1:])
        main()
        if FAILED_JOBS:
            raise InputError(f"of the sweep, these jobs failed: {', '.join(FAILED_JOBS)}")


@contextmanager
def imports_without_gc() -> Iterator[None]:
    """Import without collecting garbage, and never look at what was imported again: a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

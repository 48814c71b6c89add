"""Keep a fault of a report from failing what the report is about."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)


@contextmanager
def log_faults(path: Path) -> Iterator[None]:
    """Log an error as one line: the results are complete, and a report only shows them.

    Args:
        path: The report.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        log.warning("%s could not be written: %s: %s", path, type(error).__name__, printable(reason))
        log.debug("traceback of the report", exc_info=True)

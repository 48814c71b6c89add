"""The symbolic link `outputs/latest`."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from mobilenet_lab.runs.folder import LATEST, RunFolder

log = logging.getLogger(__name__)


@contextmanager
def latest_symlink(run: RunFolder) -> Iterator[None]:
    """Point `outputs/latest` at a run; restore the previous target if the run leaves no checkpoint.

    A run needs no link: one that cannot be written is skipped with a message.
    """
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield
        return
    is_occupied = LATEST.exists() and not LATEST.is_symlink()
    if is_occupied:
        log.warning("%s is not a symbolic link and is left unchanged", LATEST)
    previous = LATEST.readlink() if LATEST.is_symlink() else None
    is_linked = not is_occupied and _point_latest_at(_relative_target(run))
    try:
        yield
    finally:
        if is_linked and previous is not None and not run.checkpoint_files():
            _point_latest_at(previous)


def _relative_target(run: RunFolder) -> Path:
    """Return the path of a run from the folder of the link, which may be reached through links itself."""
    return Path(os.path.relpath(run.path.resolve(), LATEST.parent.resolve()))


def _point_latest_at(target: Path) -> bool:
    """Replace the link; log and return False if that is impossible, as in a read-only working folder."""
    scratch = LATEST.with_name(f".{LATEST.name}-{os.getpid()}")
    try:
        LATEST.parent.mkdir(exist_ok=True)
        scratch.unlink(missing_ok=True)  # of a killed run: containers give every run the same process id
        scratch.symlink_to(target, target_is_directory=True)
        scratch.replace(LATEST)
    except OSError as error:
        log.warning("the link %s is not updated: %s", LATEST, error.strerror)
        return False
    return True

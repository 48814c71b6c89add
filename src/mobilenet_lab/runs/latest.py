"""The symbolic link `outputs/latest`."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_utilities.core.rank_zero import rank_zero_only

from mobilenet_lab.runs.folder import LATEST, RunFolder

log = logging.getLogger(__name__)


@contextmanager
def latest_symlink(run: RunFolder) -> Iterator[None]:
    """Point `outputs/latest` at a run; restore the previous target if the run leaves no checkpoint."""
    is_occupied = LATEST.exists() and not LATEST.is_symlink()
    if is_occupied:
        log.warning("%s is not a symbolic link and is left unchanged", LATEST)
    if is_occupied or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield
        return
    previous = LATEST.readlink() if LATEST.is_symlink() else None
    LATEST.parent.mkdir(exist_ok=True)
    _point_latest_at(Path(os.path.relpath(run.path, LATEST.parent)))
    try:
        yield
    finally:
        if previous is not None and not run.checkpoint_files():
            _point_latest_at(previous)


def _point_latest_at(target: Path) -> None:
    scratch = LATEST.with_name(f".latest-{os.getpid()}")
    scratch.symlink_to(target, target_is_directory=True)
    scratch.replace(LATEST)

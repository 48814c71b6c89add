"""The symbolic link `outputs/latest`.

It points to a hidden folder of links to the members of the newest run, except the event files. TensorBoard
follows links: if it pointed to the run itself, `tensorboard --logdir outputs` would show that run twice.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from mobilenet_lab.runs.folder import LATEST, RunFolder
from mobilenet_lab.runs.run_path import LINKS_PREFIX, run_path

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
    previous = run_path(LATEST) if LATEST.is_symlink() and LATEST.exists() else None
    is_linked = not is_occupied and _point_latest_at(run.path)
    try:
        yield
    finally:
        if is_linked and previous is not None and not run.checkpoint_files():
            _point_latest_at(previous)


def _point_latest_at(run: Path) -> bool:
    """Replace the link; log and return False if that is impossible, as in a read-only working folder."""
    scratch = LATEST.with_name(f".{LATEST.name}-{os.getpid()}.tmp")
    replaced = _linked_folder()
    try:
        LATEST.parent.mkdir(exist_ok=True)
        links = _folder_of_links(RunFolder(run.resolve()))
        scratch.unlink(missing_ok=True)  # of a killed run: containers give every run the same process id
        scratch.symlink_to(links.name, target_is_directory=True)
        scratch.replace(LATEST)
    except OSError as error:
        log.warning("the link %s is not updated: %s", LATEST, error.strerror)
        return False
    if replaced is not None:
        shutil.rmtree(replaced, ignore_errors=True)
    return True


def _folder_of_links(run: RunFolder) -> Path:
    """Create a folder of links to the members of a run, some of which it has not written yet."""
    # Links are relative to the real path of their folder, which may be reached through links itself.
    links = Path(tempfile.mkdtemp(prefix=LINKS_PREFIX, dir=LATEST.parent.resolve()))
    links.chmod(0o755)
    for member in run.members():
        (links / member.name).symlink_to(os.path.relpath(member, links))
    return links


def _linked_folder() -> Path | None:
    """Return the folder of links that `outputs/latest` points to; None if it points elsewhere."""
    with suppress(OSError):  # there is no link
        target = LATEST.readlink()
        if target.name == str(target) and target.name.startswith(LINKS_PREFIX):
            return LATEST.with_name(target.name)
    return None

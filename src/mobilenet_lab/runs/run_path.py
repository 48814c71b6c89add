"""The real path of a run that is reached through `outputs/latest`."""

import os
from pathlib import Path

from mobilenet_lab.runs.folder import CHECKPOINTS

LINKS_PREFIX = ".latest-"  # of the folder that `outputs/latest` points to, next to it; see `runs.latest`


def run_path(path: Path) -> Path:
    """Return a path without symbolic links, with the newest run for the folder behind `outputs/latest`.

    Raises:
        RuntimeError, OSError: Symbolic links form a loop.
    """
    real = path.resolve()
    for folder in (real, *real.parents):
        if folder.name.startswith(LINKS_PREFIX) and (link := folder / CHECKPOINTS).is_symlink():
            run = Path(os.path.normpath(folder / link.readlink())).parent
            return (run / real.relative_to(folder)).resolve()
    return real

"""Give matplotlib and fontconfig a folder for their caches where the home folder is not writable."""

import atexit
import logging
import os
from pathlib import Path

MATPLOTLIB = "MPLCONFIGDIR"
CACHES = "XDG_CACHE_HOME"


def use_writable_caches() -> None:
    """Point the caches to a temporary folder if needed, which is removed when the process ends.

    Without it, matplotlib and fontconfig print several lines per process. Child processes inherit the folder.
    Call it before matplotlib is imported, which happens when Lightning is.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it reports that it has listed the fonts
    if MATPLOTLIB in os.environ:
        return
    config = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))  # noqa: PTH111
    cache = Path(os.environ.get(CACHES) or os.path.expanduser("~/.cache"))  # noqa: PTH111
    if _is_writable(config / "matplotlib") and _is_writable(cache / "matplotlib"):
        return
    import shutil  # rarely needed, and slow
    import tempfile

    folder = tempfile.mkdtemp(prefix="mobilenet-lab-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[MATPLOTLIB] = folder
    if not _is_writable(cache / "fontconfig"):
        os.environ[CACHES] = folder


def _is_writable(folder: Path) -> bool:
    """Return whether a folder exists and is writable, or can be created."""
    if folder.parts[0] == "~":  # no home folder is known
        return False
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)

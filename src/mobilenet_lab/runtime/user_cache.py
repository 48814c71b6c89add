"""The folder for files that a machine can make or download again."""

from pathlib import Path


def user_cache_folder() -> Path:
    """Return this project's folder in the user's cache folder, which XDG_CACHE_HOME moves.

    The folder need not exist.
    """
    import platformdirs  # few commands need it

    return Path(platformdirs.user_cache_dir("mobilenet-lab"))

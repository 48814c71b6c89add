"""What an image folder holds, read from the index of an earlier run."""

import os
import shutil
from pathlib import Path

import pytest

from mobilenet_lab.data.datasets import folder_index
from mobilenet_lab.data.datasets.folder_contents import FolderContents, read_folder
from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of indices, which are kept for folders of any size and age."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folder_index, "MIN_FILES", 1)
    monkeypatch.setattr(folder_index, "SETTLED_NS", -1)
    return tmp_path / "cache/mobilenet-lab/folders"


@pytest.fixture
def was_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives the name of each folder that is read instead of remembered."""
    names: list[str] = []

    def read(path: str) -> FolderContents:
        names.append(Path(path).name)
        return read_folder(path)

    monkeypatch.setattr(folder_index, "read_folder", read)
    return names


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with everything that listing treats specially."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for split in ("train", "val"):
        for name in ("1", "2", "10"):
            touch(*(data / split / name / f"{i}.png" for i in (1, 2, 10)))
    touch(data / "train/1/.hidden.png", data / "train/2/notes.txt", data / "train/2/more/x.JPG")
    touch(data / "train/empty/x.jxl", data / "unlabeled/x.png", elsewhere / "deep/a.png")
    touch(data / "train/1/run/config.yaml", data / "train/1/run/curves.png")
    (data / "train/1/run/checkpoints").symlink_to("gone")
    (data / "train/2/link").symlink_to(elsewhere)
    (data / "train/10/up").symlink_to(data / "train")
    (data / "train/broken").symlink_to("nowhere")
    (data / "train/1/3.png").symlink_to("1.png")
    return data


def listing(root: Path) -> tuple[list[str], dict[str, tuple[list[str], list[int]]]]:
    source = image_folder(str(root), size=8, channels=1, on_empty_class="skip")
    opened = {
        split: source.open(split) for split in ("train", "val") if split == "train" or source.has_split(split)
    }
    return source.classes, {name: (list(data.files), data.labels.tolist()) for name, data in opened.items()}


def test_remembered_folder_gives_the_same_images_and_messages(
    cache: Path, root: Path, was_read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    first, messages = listing(root), list(caplog.messages)
    assert first[0] == ["1", "2", "10"]
    assert first[1]["train"][0] == [
        *("1/1.png", "1/10.png", "1/2.png", "1/3.png"),
        *("2/1.png", "2/10.png", "2/2.png", "2/link/deep/a.png", "2/more/x.JPG"),
        *("10/1.png", "10/10.png", "10/2.png"),
    ]
    assert len(messages) == 4
    assert was_read
    assert len(list(cache.iterdir())) == 1
    was_read.clear()
    caplog.clear()
    assert listing(root) == first
    assert caplog.messages == messages
    assert was_read == []


def test_only_folders_that_changed_are_read_again(cache: Path, root: Path, was_read: list[str]) -> None:
    before = listing(root)[1]["train"][0]
    was_read.clear()
    touch(root / "train/2/more/new.png")
    assert set(listing(root)[1]["train"][0]) - set(before) == {"2/more/new.png"}
    assert set(was_read) == {"more"}
    was_read.clear()
    (root / "train/2/more/new.png").rename(root / "train/10/0.png")
    assert set(listing(root)[1]["train"][0]) - set(before) == {"10/0.png"}
    assert set(was_read) == {"more", "10"}
    was_read.clear()
    for split in ("train", "val"):
        shutil.rmtree(root / split / "10")
    assert listing(root)[0] == ["1", "2"]
    assert set(was_read) == {"train", "val"}


def test_links_to_other_folders_are_noticed(cache: Path, root: Path, tmp_path: Path) -> None:
    before = set(listing(root)[1]["train"][0])
    touch(tmp_path / "elsewhere/b.png", tmp_path / "other/c.png")
    assert set(listing(root)[1]["train"][0]) == before | {"2/link/b.png"}
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    (tmp_path / "other").rename(tmp_path / "elsewhere")  # no folder of the data set has changed
    assert set(listing(root)[1]["train"][0]) == before - {"2/link/deep/a.png"} | {"2/link/c.png"}
    shutil.rmtree(tmp_path / "elsewhere")
    assert set(listing(root)[1]["train"][0]) == before - {"2/link/deep/a.png"}


def test_restored_modification_time_does_not_hide_a_change(cache: Path, root: Path) -> None:
    folder = root / "train/1"
    times = folder.stat()
    before = listing(root)[1]["train"][0]
    touch(folder / "9.png")
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert folder.stat().st_mtime_ns == times.st_mtime_ns
    assert set(listing(root)[1]["train"][0]) - set(before) == {"1/9.png"}


@pytest.mark.parametrize("damage", ["empty", "cut", "changed"])
def test_damaged_index_is_ignored_and_replaced(
    cache: Path, root: Path, was_read: list[str], damage: str
) -> None:
    first = listing(root)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.write_bytes({"empty": b"", "cut": content[:middle], "changed": changed}[damage])
    was_read.clear()
    assert listing(root) == first
    assert was_read
    assert file.read_bytes() == content
    assert list(cache.iterdir()) == [file]


def test_cache_folder_that_is_not_writable_is_left_alone(cache: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert listing(root) == listing(root)


def test_folders_with_few_files_or_recent_changes_are_not_remembered(
    cache: Path, root: Path, was_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_index, "MIN_FILES", 100)
    listing(root)
    assert not cache.exists()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))
    monkeypatch.setattr(folder_index, "MIN_FILES", 1)
    listing(root)  # a change in this moment might leave the times as they are
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_links_of_two_classes_to_the_same_folder_are_refused_every_time(root: Path, tmp_path: Path) -> None:
    (root / "train/10/same").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(InputError, match="leads to the same images as a link in"):
            listing(root)

"""Decoded images on disk: the same bits, from whichever process has written them."""

import errno
import logging
import os
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Script, digit_images
from PIL import Image

from mobilenet_lab.data import disk_cache
from mobilenet_lab.data.datasets import file_dataset
from mobilenet_lab.data.datasets.file_dataset import FileDataset
from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.data.datasets.mnist import idx_folder
from mobilenet_lab.data.disk_cache import on_disk
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange
from mobilenet_lab.runtime.errors import InputError

COUNT = 12


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/mobilenet-lab/images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for i in range(COUNT):
        path = tmp_path / f"data/{'ab'[i % 2]}/{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return tmp_path / "data"


@pytest.fixture
def dataset(cache: Path, folder: Path) -> FileDataset:
    return image_folder(str(folder), size=16, channels=3).open("train")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that receives the index of each image that is decoded."""
    indices: list[int] = []
    read_into = FileDataset.read_into

    def noted(self: FileDataset, image: np.ndarray, index: int) -> None:
        indices.append(index)
        read_into(self, image, index)

    monkeypatch.setattr(FileDataset, "read_into", noted)
    return indices


ALL = np.arange(COUNT)


def test_second_reading_decodes_nothing_and_has_the_same_bits(
    dataset: FileDataset, folder: Path, decoded: list[int]
) -> None:
    images, labels = dataset.read(ALL)
    decoded.clear()
    first = on_disk(dataset)
    for indices in (np.array([3, 0]), ALL):
        assert torch.equal(first.read(indices)[0], images[indices])
    assert decoded == [3, 0, 1, 2, *range(4, COUNT)]
    decoded.clear()
    again = on_disk(image_folder(str(folder), size=16, channels=3).open("train"))
    read = again.read(ALL[::-1].copy())
    assert torch.equal(read[0], images.flip(0))
    assert torch.equal(read[1], labels.flip(0))
    assert len(again) == COUNT
    assert decoded == []


def test_images_of_changed_files_are_decoded_again(dataset: FileDataset, decoded: list[int]) -> None:
    stored = on_disk(dataset)
    stored.read(ALL)
    decoded.clear()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(dataset.root / dataset.files[4])
    assert stored.read(ALL)[0][4].float().mean((1, 2)).tolist() == [1, 2, 3]
    assert decoded == [4]


@pytest.mark.parametrize("part", ["pixels", "entry", "entry without pixels"])
def test_image_that_a_crash_has_cut_is_decoded_again(
    dataset: FileDataset, cache: Path, decoded: list[int], part: str
) -> None:
    stored = on_disk(dataset)
    images, _ = stored.read(ALL)
    decoded.clear()
    (path,) = cache.iterdir()
    size = 3 * 16 * 16
    with path.open("r+b") as file:
        file.seek(disk_cache.ENTRY.size * 5 if part == "entry" else disk_cache.PAGE + 5 * size + 10)
        file.write(bytes(size - 10 if part == "entry without pixels" else 6))
    assert torch.equal(on_disk(dataset).read(ALL)[0], images)
    assert decoded == [5]


def test_workers_fill_one_file(dataset: FileDataset, cache: Path, decoded: list[int]) -> None:
    expected = dataset.read(ALL)[0]
    stored = on_disk(dataset)
    loader = batch_loader(stored, BatchSampler(IndexRange(0, COUNT), 3, shuffle=False), num_workers=2)
    assert torch.equal(torch.cat([batch["images"] for batch in loader]), expected)
    decoded.clear()
    other = pickle.loads(pickle.dumps(stored))  # as for a worker that is not forked
    assert torch.equal(other.read(ALL)[0], expected)
    assert decoded == []
    assert len(list(cache.iterdir())) == 1


def test_every_setting_that_changes_pixels_has_its_own_file(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = [{}, {"size": 17}, {"channels": 1}, {"fit": "pad"}]
    for variant in variants:
        source = image_folder(str(folder), **({"size": 16, "channels": 3} | variant))  # type: ignore[arg-type]
        on_disk(source.open("train"))
    (folder / "a/new.png").write_bytes((folder / "a/00.png").read_bytes())
    on_disk(image_folder(str(folder), size=16, channels=3).open("train"))
    monkeypatch.setattr(file_dataset, "PIXELS", file_dataset.PIXELS + 1)
    on_disk(image_folder(str(folder), size=16, channels=3).open("train"))
    assert len(list(cache.iterdir())) == len(variants) + 2


def test_corrupt_image_is_reported_every_time(dataset: FileDataset) -> None:
    (dataset.root / dataset.files[2]).write_bytes(b"nothing")
    stored = on_disk(dataset)
    for _ in range(2):
        with pytest.raises(InputError, match=r"a/04\.png: not an image; .*data\.on_corrupt_image=skip"):
            stored.read(ALL)


def test_disk_without_space_is_refused(dataset: FileDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000, 0, 1000))
    with pytest.raises(InputError, match=r"data\.cache=disk: 12 images take 0\.0 GB, .* free; use") as error:
        on_disk(dataset)
    assert "\n" not in str(error.value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(dataset.root / dataset.files[0]))
    with pytest.raises(InputError, match=r"data\.cache=disk: .* set XDG_CACHE_HOME to another folder"):
        on_disk(dataset)


def test_disk_that_fills_up_is_logged_once(
    dataset: FileDataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    stored = on_disk(dataset)
    monkeypatch.setattr(os, "pwrite", refuse)
    assert torch.equal(stored.read(ALL)[0], dataset.read(ALL)[0])
    assert [message for message in caplog.messages if "is full" in message] == caplog.messages
    assert len(caplog.messages) == 1


def test_caches_that_no_run_uses_are_removed(
    dataset: FileDataset, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cache.mkdir(parents=True)
    old, recent = cache / f"old{disk_cache.SUFFIX}", cache / f"recent{disk_cache.SUFFIX}"
    for path, days in ((old, 31), (recent, 29)):
        path.touch()
        seconds = path.stat().st_mtime - days * 86_400
        os.utime(path, (seconds, seconds))
    on_disk(dataset)
    assert (old.exists(), recent.exists()) == (False, True)
    assert len(caplog.messages) == 1


def test_data_set_without_image_files_is_refused(tiny_idx: Path) -> None:
    with pytest.raises(
        InputError, match=r"data\.cache=disk: keeps images that are decoded .* data\.cache=auto"
    ):
        on_disk(idx_folder(str(tiny_idx)).open("train"))


def test_training_with_the_cache_has_the_same_result(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images, labels = digit_images(60, 0)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / f"digits/{label % 2}/{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    data = ("data=image_folder", "data.root=digits", "data.image_size=16", "data.batch_size=10")
    run = ("model.filters=1", "trainer.accelerator=cpu", "trainer.max_epochs=1", "data.val_split=0.2")
    states = []
    for name in ("mmap", "disk", "disk"):
        done = script("train.py", *data, *run, f"data.cache={name}", f"output_dir=run{len(states)}")
        assert (done.returncode, done.stderr) == (0, "")
        checkpoint = torch.load(tmp_path / f"run{len(states)}/checkpoints/last.ckpt", weights_only=True)
        states.append(checkpoint["state_dict"])
    for state in states[1:]:
        assert all(torch.equal(state[key], states[0][key]) for key in states[0])
    assert len(list((tmp_path / "cache/mobilenet-lab/images").iterdir())) == 1

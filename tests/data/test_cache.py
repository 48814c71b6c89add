from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_lab.data import cache
from mobilenet_lab.data.cache import choose_cache, load_all
from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.data.datasets.mnist import idx_folder
from mobilenet_lab.runtime.errors import InputError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_in_memory_images_equal_the_files(tiny_idx: Path) -> None:
    dataset = idx_folder(str(tiny_idx)).open("train")
    in_memory = load_all(dataset, CPU)
    assert len(in_memory) == len(dataset)
    indices = np.array([119, 0, 7, 7])
    for one, other in zip(in_memory.read(indices), dataset.read(indices), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_folder_is_decoded_once_even_by_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHUNK", 3)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("L", (8, 8), 10 * i).save(tmp_path / name / f"{i}.png")
    dataset = image_folder(str(tmp_path), size=8, channels=1).open("train")
    for num_workers in (0, 2):
        in_memory = load_all(dataset, CPU, num_workers)
        assert in_memory.images.amax(dim=(1, 2, 3)).tolist() == [0, 10, 20, 30, 40] * 2
        assert in_memory.labels.tolist() == [0] * 5 + [1] * 5
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    assert in_memory.read(np.array([9]))[0].max() == 40


def test_auto_cache_uses_a_device_with_room_if_there_are_no_workers(
    tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = idx_folder(str(tiny_idx)).open("train")
    monkeypatch.setattr(cache, "free_memory", lambda device: 120 * 784 * 4.0)
    assert choose_cache("auto", dataset, CUDA, 0) == "device"
    assert choose_cache("auto", dataset, CUDA, 2) == "mmap"
    assert choose_cache("auto", dataset, CPU, 0) == "mmap"
    assert choose_cache("memory", dataset, CUDA, 0) == "memory"
    monkeypatch.setattr(cache, "free_memory", lambda device: 120 * 784 * 4.0 - 1)
    assert choose_cache("auto", dataset, CUDA, 0) == "mmap"


def test_images_beyond_the_free_memory_are_refused(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "free_memory", lambda device: 1e4)
    with pytest.raises(InputError, match="120 images take"):
        load_all(idx_folder(str(tiny_idx)).open("train"), CPU)


def test_free_memory_is_a_plausible_number_of_bytes() -> None:
    assert cache.free_memory(CPU) > 1e7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_reading_on_the_device_does_not_synchronize(tiny_idx: Path) -> None:
    in_memory = load_all(idx_folder(str(tiny_idx)).open("train"), CUDA)
    in_memory.read(np.arange(4))
    torch.cuda.set_sync_debug_mode("error")
    try:
        images, labels = in_memory.read(np.arange(16))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert images.is_cuda
    assert labels.is_cuda

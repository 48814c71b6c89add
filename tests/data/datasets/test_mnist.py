from pathlib import Path

import numpy as np
import pytest

from mobilenet_lab.data.datasets.mnist import FILES, fashion_mnist, idx_folder, mnist
from mobilenet_lab.runtime.errors import InputError


def test_idx_folder_reads_four_files(tiny_idx: Path) -> None:
    source = idx_folder(str(tiny_idx))
    source.prepare()
    assert source.classes == [str(label) for label in range(10)]
    assert source.native_size == 28
    assert {split: len(source.open(split)) for split in FILES} == {"train": 120, "test": 40}
    assert source.open("test").read(np.array([13]))[1].tolist() == [3]


def test_missing_file_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte: no such file"):
        idx_folder(str(tmp_path)).open("train")


def test_labels_beyond_the_known_classes_are_refused(tiny_idx: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist").symlink_to(tiny_idx)
    labels = tmp_path / "labels"
    labels.write_bytes(bytes.fromhex("00000801 00000078") + bytes([10] * 120))
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for names in FILES.values():
        for name in names:
            (folder / name).symlink_to(labels if name == "train-labels-idx1-ubyte" else tiny_idx / name)
    assert len(mnist(str(tmp_path)).open("train")) == 120
    with pytest.raises(InputError, match="label 10"):
        fashion_mnist(str(tmp_path)).open("train")


def test_mnist_and_fashion_mnist_have_ten_classes() -> None:
    for source in (mnist("data"), fashion_mnist("data")):
        assert len(set(source.classes)) == 10

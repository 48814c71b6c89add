import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Script, idx_bytes, write_idx_files

from mobilenet_lab.data.datasets.idx import open_idx, open_pair
from mobilenet_lab.data.datasets.mnist import IdxSource, idx_folder
from mobilenet_lab.runtime.errors import InputError

# Two images of 2 x 3 pixels and their labels, written by hand
IMAGES = bytes.fromhex("00000803 00000002 00000002 00000003 000102030405 fafbfcfdfeff")
LABELS = bytes.fromhex("00000801 00000002 0709")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(IMAGES)
    labels.write_bytes(LABELS)
    return images, labels


def test_files_written_by_hand_are_read(pair: tuple[Path, Path]) -> None:
    dataset = open_pair(*pair, num_classes=10)
    images, labels = dataset.read(np.array([1, 0, 1]))
    assert images.dtype == torch.uint8
    assert images.tolist() == [
        [[[250, 251, 252], [253, 254, 255]]],
        [[[0, 1, 2], [3, 4, 5]]],
        [[[250, 251, 252], [253, 254, 255]]],
    ]
    assert labels.dtype == torch.int64
    assert labels.tolist() == [9, 7, 9]


def test_images_are_memory_mapped_and_read_only(pair: tuple[Path, Path]) -> None:
    images = open_idx(pair[0], 3)
    assert isinstance(images.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"", "not an IDX file"),
        (lambda b: b[:10], "not an IDX file"),
        (lambda b: b"\x01" + b[1:], "not an IDX file"),
        (lambda b: b[:2] + b"\x0d" + b[3:], "not an IDX file"),
        (lambda b: b[:3] + b"\x01" + b[4:], "not an IDX file"),
        (lambda b: b[:-1], "announces 2 x 2 x 3"),
        (lambda b: b + b"\x00", "announces 2 x 2 x 3"),
        (lambda b: b[:4] + b"\xff\xff\xff\xff" * 3, "announces 4294967295"),
        (lambda b: b[:4] + bytes(12), "announces 0"),
    ],
)
def test_damaged_file_error_names_it(pair: tuple[Path, Path], damage, message: str) -> None:  # type: ignore[no-untyped-def]
    pair[0].write_bytes(damage(IMAGES))
    with pytest.raises(InputError, match=message) as error:
        open_pair(*pair)
    assert str(pair[0]) in str(error.value)
    assert "replace it" in str(error.value)
    assert "\n" not in str(error.value)


def test_different_counts_are_refused(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(bytes.fromhex("00000801 00000003 010203"))
    with pytest.raises(InputError, match=r"2 images .* 3 labels"):
        open_pair(*pair)


def test_label_out_of_range_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="label 9 at position 1, but there are 9 classes"):
        open_pair(*pair, num_classes=9)


def test_gz_file_error_says_to_decompress_it(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(gzip.compress(IMAGES))
    with pytest.raises(InputError, match="images: compressed with gzip; decompress it first"):
        open_pair(*pair)


def idx_source(folder: Path, train: np.ndarray, test: np.ndarray, **arguments: Any) -> IdxSource:
    """Write a data set with these labels."""
    for prefix, labels in (("train", train), ("t10k", test)):
        for name, values in (("images-idx3", np.zeros((len(labels), 4, 4))), ("labels-idx1", labels)):
            (folder / f"{prefix}-{name}-ubyte").write_bytes(idx_bytes(values.astype(np.uint8)))
    return idx_folder(str(folder), **arguments)


TEN = np.arange(200) % 10


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            255,
            "train-labels-idx1-ubyte: label 255 has 1 image, the first at position 17, but the labels 10 to",
        ),
        (
            11,
            "label 11 has 1 image, the first at position 17, but label 10 below 11 has none; correct",
        ),
    ],
)
def test_stray_label_is_refused(tmp_path: Path, label: int, message: str) -> None:
    train = np.where(np.arange(200) == 17, label, TEN)
    with pytest.raises(InputError, match=message) as error:
        _ = idx_source(tmp_path, train, TEN).classes
    assert "data.source.classes" in str(error.value)


def test_labels_that_do_not_start_at_zero_need_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"label 1 has 20 images, .* label 0 below 10 has none"):
        _ = idx_source(tmp_path, TEN + 1, TEN + 1).classes
    names = ["none", *"abcdefghij"]
    assert idx_source(tmp_path, TEN + 1, TEN + 1, classes=names).classes == names


@pytest.mark.parametrize(
    ("count", "mnist_style", "warning"),
    [
        (2, False, ["unexpected labels make 11 classes: label 10 has 2 images"]),
        (20, False, []),
        (20, True, ["unexpected labels make 11 classes: label 10 has 20 images"]),
    ],
)
def test_unexpected_label_is_a_warning_with_its_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, mnist_style: bool, warning: list[str]
) -> None:
    train = np.append(TEN, [10] * count)
    source = idx_source(tmp_path, train, TEN, mnist_style=mnist_style)
    assert len(source.classes) == len(source.classes) == 11
    assert [message.partition("ubyte: ")[2] for message in caplog.messages] == warning


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            TEN * 0,
            TEN * 0,
            "train-labels-idx1-ubyte: every label is 0; a classifier needs images of at least two",
        ),
        (TEN, np.append(TEN, 10), "label 10 has no training images, but 1 image in the test set"),
    ],
)
def test_impossible_labels_are_refused(
    tmp_path: Path, train: np.ndarray, test: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _ = idx_source(tmp_path, train, test).classes


def test_missing_file_that_is_there_in_another_form_is_named(tmp_path: Path) -> None:
    source = idx_source(tmp_path, TEN, TEN)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.rename(tmp_path / "t10k-images.idx3-ubyte")
    with pytest.raises(FileNotFoundError, match=r"no such file; rename t10k-images\.idx3-ubyte, which"):
        source.open("test")
    (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(IMAGES))
    with pytest.raises(FileNotFoundError, match=rf"decompress .*: gunzip -k {path}\.gz"):
        source.open("test")


@pytest.mark.parametrize("script_name", ["train.py", "evaluate.py"])
def test_script_error_names_the_damaged_file_in_one_line(
    script: Script, tiny_run: Path, tmp_path: Path, script_name: str
) -> None:
    write_idx_files(tmp_path / "idx")
    damaged = tmp_path / "idx/t10k-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    ckpt = [f"ckpt={tiny_run}"] if script_name == "evaluate.py" else []
    done = script(script_name, "data=idx", f"data.root={tmp_path / 'idx'}", *ckpt)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {damaged}: the header announces 40 x 28 x 28 values")
    assert done.stderr.count("\n") == 1

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Script, write_idx_files

from mobilenet_lab.data.datasets.idx import open_idx, open_pair
from mobilenet_lab.runtime.errors import InputError

# Two images of 2 x 3 pixels and their labels, written out by hand.
IMAGES = bytes.fromhex("00000803 00000002 00000002 00000003 000102030405 fafbfcfdfeff")
LABELS = bytes.fromhex("00000801 00000002 0709")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(IMAGES)
    labels.write_bytes(LABELS)
    return images, labels


def test_reads_what_was_written_by_hand(pair: tuple[Path, Path]) -> None:
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


def test_images_stay_in_the_file_until_they_are_read(pair: tuple[Path, Path]) -> None:
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
def test_damaged_files_are_named(pair: tuple[Path, Path], damage, message: str) -> None:  # type: ignore[no-untyped-def]
    pair[0].write_bytes(damage(IMAGES))
    with pytest.raises(InputError, match=message) as error:
        open_pair(*pair)
    assert str(pair[0]) in str(error.value)
    assert "replace it" in str(error.value)
    assert "\n" not in str(error.value)


def test_counts_must_agree(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(bytes.fromhex("00000801 00000003 010203"))
    with pytest.raises(InputError, match=r"2 images .* 3 labels"):
        open_pair(*pair)


def test_labels_must_be_in_range(pair: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="label 9 at position 1, but there are 9 classes"):
        open_pair(*pair, num_classes=9)


def test_a_packed_file_is_told(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(gzip.compress(IMAGES))
    with pytest.raises(InputError, match="images: compressed with gzip; decompress it first"):
        open_pair(*pair)


@pytest.mark.parametrize("script_name", ["train.py", "evaluate.py"])
def test_scripts_name_the_damaged_file_in_one_line(
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

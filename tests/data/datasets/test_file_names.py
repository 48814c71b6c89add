import os
import pickle

import numpy as np
import pytest

from mobilenet_lab.data.datasets.file_names import FileNames

FOLDERS = ["", "cat", "cat/empty", "dog/b\udcff"]
NAMES = [["a.png"], ["1.png", "\u00e9.png", "x\udcfe.png"], [], [f"{i}.jpg" for i in range(40)]]
PATHS = [os.path.join(folder, name) for folder, names in zip(FOLDERS, NAMES, strict=True) for name in names]


@pytest.fixture
def files() -> FileNames:
    text = [b"".join(os.fsencode(name) + b"\0" for name in names) for names in NAMES]
    return FileNames(FOLDERS, text, list(map(len, NAMES)))


def test_names_are_those_of_a_list(files: FileNames) -> None:
    assert list(files) == PATHS
    assert len(files) == len(PATHS)
    assert [files[i] for i in (0, 3, -1, -len(PATHS))] == [PATHS[0], PATHS[3], PATHS[-1], PATHS[0]]
    assert files[2:30:5] == PATHS[2:30:5]
    assert PATHS[7] in files
    for index in (len(PATHS), -len(PATHS) - 1):
        with pytest.raises(IndexError):
            files[index]
    assert list(pickle.loads(pickle.dumps(files))) == PATHS


def test_selections_of_selections(files: FileNames) -> None:
    some = files.select(np.array([5, 1, 30, 2]))
    assert list(some) == [PATHS[i] for i in (5, 1, 30, 2)]
    assert list(some.select(np.array([2, 0]))) == [PATHS[30], PATHS[5]]
    assert some[-1] == PATHS[2]
    assert list(files) == PATHS


def test_digest_depends_on_names_folders_and_order(files: FileNames) -> None:
    def of(folders: list[str], *names: bytes) -> bytes:
        return FileNames(folders, names, [text.count(b"\0") for text in names]).digest()

    digests = [
        files.digest(),
        files.select(np.array([1, 0])).digest(),
        files.select(np.array([0, 1])).digest(),
        of(["a", "b"], b"x\0", b"y\0"),
        of(["b", "a"], b"x\0", b"y\0"),
        of(["a", "b"], b"y\0", b"x\0"),
        of(["a", "b"], b"x\0y\0", b""),
    ]
    assert len(set(digests)) == len(digests)
    assert of(["a"], b"x\0") == of(["a"], b"x\0")

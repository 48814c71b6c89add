import os
from pathlib import Path

import pytest

from mobilenet_lab.runtime.atomic_files import write_atomically, write_json


def test_failed_write_leaves_the_old_file_and_no_scratch_file(tmp_path: Path) -> None:
    path = tmp_path / "folder/file.json"
    write_json(path, {"a": 1})

    def fail(scratch: Path) -> None:
        scratch.write_text("{")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [file.name for file in path.parent.iterdir()] == ["file.json"]


def test_old_file_is_kept_under_another_name(tmp_path: Path) -> None:
    path, old = tmp_path / "last", tmp_path / "previous"
    for content in ("one", "two", "three"):
        write_atomically(path, lambda scratch, content=content: scratch.write_text(content), keep=old)
    assert (path.read_text(), old.read_text()) == ("three", "two")


def test_processes_that_write_the_same_file_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last"

    def write(scratch: Path) -> None:
        scratch.write_text("one")
        monkeypatch.setattr(os, "getpid", lambda: -1)  # another process writes in between
        write_atomically(path, lambda other: other.write_text("two"))
        assert path.read_text() == "two"

    write_atomically(path, write)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]

import os
from pathlib import Path

import pytest

from mobilenet_lab.runtime.font_caches import use_writable_caches

VARIABLES = ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/home"])
def test_home_that_is_no_folder_is_replaced(
    home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    removed = []
    monkeypatch.setattr("atexit.register", lambda function, folder, **_: removed.append(folder))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", home)
    use_writable_caches()
    assert [os.environ["MPLCONFIGDIR"]] == [os.environ["XDG_CACHE_HOME"]] == removed
    assert list(tmp_path.iterdir()) == [Path(removed[0])]
    use_writable_caches()  # as in a child process
    assert len(removed) == 1


def test_read_only_cache_folder_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    read_only = tmp_path / ".cache"
    read_only.mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != read_only)
    use_writable_caches()
    assert Path(os.environ["MPLCONFIGDIR"]).is_dir()


def test_writable_home_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    use_writable_caches()
    assert not set(VARIABLES) & os.environ.keys()
    assert list(tmp_path.iterdir()) == []

import re
from pathlib import Path

import pytest

from mobilenet_lab.export.web_runtime import MIRRORS, SHA256, web_runtime
from mobilenet_lab.runtime.errors import InputError


def test_every_file_has_a_pinned_hash_and_every_mirror_is_encrypted() -> None:
    assert len(SHA256) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in SHA256.values())
    assert all(mirror.startswith("https://") for mirror in MIRRORS)


def test_cached_file_with_other_contents_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilenet_lab.export.web_runtime.MIRRORS", [])
    monkeypatch.setenv("PATH", "")  # no npm
    for name in SHA256:
        (tmp_path / name).write_bytes(b"attack")
    with pytest.raises(
        InputError, match=r"could not fetch ort\.wasm\.min\.js, .* has SHA-256 .*npm is not on"
    ):
        web_runtime(tmp_path)


def test_cache_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"format=html: .* cannot be written, .*; set XDG_CACHE_HOME"):
        web_runtime(tmp_path / "file/cache")

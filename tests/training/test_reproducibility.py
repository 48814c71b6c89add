"""Runs with equal seeds end with equal bits."""

from pathlib import Path

import pytest
from conftest import TINY_RUN, Script
from runs_under_test import assert_equal_weights


def test_equal_seeds_give_equal_bits_and_different_seeds_do_not(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    for seed in (0, 1):
        done = script(
            "train.py", *TINY_RUN, f"data.root={tiny_idx}", f"seed={seed}", f"output_dir=run {seed}"
        )
        assert done.returncode == 0, done.stderr
    assert_equal_weights(tmp_path / "run 0", tiny_run)
    with pytest.raises(AssertionError):
        assert_equal_weights(tmp_path / "run 1", tiny_run)


@pytest.mark.parametrize("cache", ["memory", "device"])
def test_cached_images_give_equal_bits(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path, cache: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", f"data.cache={cache}", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert_equal_weights(tmp_path / "run", tiny_run)


def test_network_trains_uncompiled_without_a_compiler(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "task.compile=default", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("task.compile: the network cannot be compiled here; running without it") == 1
    assert_equal_weights(tmp_path / "run", tiny_run)

"""Checkpoints are written atomically, verified when they are read, and have a predecessor to fall back on."""

import os
import resource
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY_RUN, Script

from mobilenet_lab.checkpoints.load import load_checkpoint, load_with_fallback
from mobilenet_lab.checkpoints.writer import AtomicCheckpointIO, copy_atomically
from mobilenet_lab.runs.folder import PREVIOUS
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def checkpoint(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a checkpoint that a test may damage."""
    return Path(shutil.copy(tiny_run / "checkpoints/last.ckpt", tmp_path / "last.ckpt"))


def flip_a_bit(path: Path) -> None:
    """Damage the middle of the largest tensor, which only a checksum reveals."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def test_flipped_bit_is_detected(checkpoint: Path) -> None:
    before = load_checkpoint(checkpoint)["state_dict"]
    flip_a_bit(checkpoint)
    after = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert any(not torch.equal(before[key], after[key]) for key in before)  # PyTorch does not notice
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.999])
def test_truncated_file_is_refused(checkpoint: Path, keep: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match="not a checkpoint, damaged"):
        load_checkpoint(checkpoint)


def test_compressed_archive_is_refused_before_it_is_unpacked(checkpoint: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(checkpoint) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(bomb)


def test_previous_checkpoint_is_kept_and_replaces_a_damaged_one(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    value = load_checkpoint(checkpoint)
    writer = AtomicCheckpointIO()
    folder = tmp_path / "run"
    for step in (1, 2, 3):
        writer.save_checkpoint(value | {"global_step": step}, folder / "last.ckpt")
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", PREVIOUS}
    assert load_with_fallback(folder / "last.ckpt")[0]["global_step"] == 3
    assert not caplog.records
    flip_a_bit(folder / "last.ckpt")
    taken, path = load_with_fallback(folder / "last.ckpt")
    assert (taken["global_step"], path.name) == (2, PREVIOUS)
    assert "resuming from the previous checkpoint" in caplog.text
    flip_a_bit(folder / PREVIOUS)
    with pytest.raises(InputError, match=r"previous\.ckpt"):
        load_with_fallback(folder / "last.ckpt")


def test_failed_write_leaves_the_old_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    value = load_checkpoint(checkpoint)
    writer = AtomicCheckpointIO()
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(InputError, match=r"last\.ckpt: cannot write the checkpoint: File too large"):
            writer.save_checkpoint(value | {"global_step": 99}, tmp_path / "run/last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"last.ckpt"}
    assert load_checkpoint(tmp_path / "run/last.ckpt")["global_step"] == value["global_step"]


def test_file_is_synced_before_it_gets_its_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    names: dict[int, str] = {}
    open_, fsync, replace = os.open, os.fsync, Path.replace

    def recording_open(path: Any, *arguments: Any, **options: Any) -> int:
        descriptor = open_(path, *arguments, **options)
        names[descriptor] = Path(path).name.replace(f".{os.getpid()}.", ".")
        return descriptor

    def recording_fsync(descriptor: int) -> None:
        happened.append(f"sync {names[descriptor]}")
        fsync(descriptor)

    def recording_replace(path: Path, target: Path) -> Path:
        happened.append(f"{path.name.replace(f'.{os.getpid()}.', '.')} becomes {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "open", recording_open)
    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    (tmp_path / "run").mkdir()
    value, writer = load_checkpoint(checkpoint), AtomicCheckpointIO()
    written = ["sync .last.ckpt.tmp", ".last.ckpt.tmp becomes last.ckpt", "sync run"]
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    assert happened == written
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    assert happened[3:] == [written[0], f"last.ckpt becomes {PREVIOUS}", *written[1:]]
    happened.clear()
    copy_atomically(tmp_path / "run/last.ckpt", tmp_path / "run/best.ckpt")
    assert happened == ["sync .best.ckpt.tmp", ".best.ckpt.tmp becomes best.ckpt", "sync run"]
    happened.clear()
    write_json(tmp_path / "run/result.json", {})
    assert happened == ["sync .result.json.tmp", ".result.json.tmp becomes result.json", "sync run"]


def test_run_on_a_full_disk_fails_with_one_line(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    """A limit on file sizes leaves no room for a checkpoint, for TensorBoard's file, or for anything."""
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "resume=auto")
    stop = ("+callbacks.stop._target_=stop_after.StopAfter", "+callbacks.stop.steps=9")
    assert script("train.py", *settings, *stop, "output_dir=stopped").returncode == -9
    before = {path.name: path.read_bytes() for path in (tmp_path / "stopped/checkpoints").iterdir()}
    for room in (200_000, 3_000, 300):
        shutil.copytree(tmp_path / "stopped", tmp_path / f"run{room}")
        done = script("train.py", *settings, f"output_dir=run{room}", limits={resource.RLIMIT_FSIZE: room})
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "File too large" in done.stderr
        folder = tmp_path / f"run{room}/checkpoints"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_run_with_a_file_in_place_of_its_folder_fails_with_one_line(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").write_text("in the way")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "(checkpoints)" in done.stderr


def test_resume_from_a_damaged_checkpoint_uses_the_previous_one(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "callbacks.checkpoint.every_n_train_steps=5")
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    assert not (tmp_path / "whole/checkpoints" / PREVIOUS).exists()
    stop = ("+callbacks.stop._target_=stop_after.StopAfter", "+callbacks.stop.steps=12")
    assert script("train.py", *settings, *stop, "output_dir=half").returncode == -9
    flip_a_bit(tmp_path / "half/checkpoints/last.ckpt")  # of step 10; the previous one is of step 7
    done = script("train.py", *settings, "output_dir=resumed", "resume=half")
    assert done.returncode == 0, done.stderr
    assert "resuming from the previous checkpoint" in done.stdout
    whole, resumed = (
        load_checkpoint(tmp_path / run / "checkpoints/last.ckpt")["state_dict"]
        for run in ("whole", "resumed")
    )
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []
    # A run that resumes in its own folder does not replace the previous checkpoint by the damaged one.
    stop = (*stop[:1], "+callbacks.stop.steps=11")
    assert script("train.py", *settings, *stop, "output_dir=half", "resume=half").returncode == -9
    for name in ("last.ckpt", PREVIOUS):
        load_checkpoint(tmp_path / "half/checkpoints" / name)

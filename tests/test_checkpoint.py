import resource
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script

from mobilenet_lab.checkpoint import PREVIOUS, load_checkpoint, load_or_previous
from mobilenet_lab.checkpoint_io import DurableCheckpointIO
from mobilenet_lab.errors import InputError


@pytest.fixture
def checkpoint(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copy(tiny_run / "checkpoints/last.ckpt", tmp_path / "last.ckpt"))


def flip_a_bit(path: Path) -> None:
    """In the middle of the largest tensor, where nothing but a checksum can tell."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_noticed(checkpoint: Path) -> None:
    before = load_checkpoint(checkpoint)["state_dict"]
    flip_a_bit(checkpoint)
    after = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert any(not torch.equal(before[key], after[key]) for key in before)  # PyTorch does not notice
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(checkpoint: Path, keep: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match="no checkpoint, a damaged one"):
        load_checkpoint(checkpoint)


def test_a_packed_archive_is_refused_before_it_is_unpacked(checkpoint: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(checkpoint) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in archive.infolist():
            packed.writestr(part.filename, archive.read(part))
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(bomb)


def test_the_one_before_is_kept_and_taken(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    value = load_checkpoint(checkpoint)
    writer = DurableCheckpointIO()
    folder = tmp_path / "run"
    for step in (1, 2, 3):
        writer.save_checkpoint(value | {"global_step": step}, folder / "last.ckpt")
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", PREVIOUS}
    assert load_or_previous(folder / "last.ckpt")[0]["global_step"] == 3
    assert not caplog.records
    flip_a_bit(folder / "last.ckpt")
    taken, path = load_or_previous(folder / "last.ckpt")
    assert (taken["global_step"], path.name) == (2, PREVIOUS)
    assert "going on from the one before it" in caplog.text
    flip_a_bit(folder / PREVIOUS)
    with pytest.raises(InputError, match=r"previous\.ckpt"):
        load_or_previous(folder / "last.ckpt")


def test_a_failed_write_leaves_what_was_there(checkpoint: Path, tmp_path: Path) -> None:
    value = load_checkpoint(checkpoint)
    writer = DurableCheckpointIO()
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(InputError, match=r"last\.ckpt: the checkpoint cannot be written: File too large"):
            writer.save_checkpoint(value | {"global_step": 99}, tmp_path / "run/last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"last.ckpt"}
    assert load_checkpoint(tmp_path / "run/last.ckpt")["global_step"] == value["global_step"]


def test_a_folder_that_cannot_be_written_is_one_line(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").write_text("in the way")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "run/checkpoints" in done.stderr


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "callbacks.checkpoint.every_n_train_steps=5")
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    assert not (tmp_path / "whole/checkpoints" / PREVIOUS).exists()
    stop = ("+callbacks.stop._target_=stop_after.StopAfter", "+callbacks.stop.steps=12")
    assert script("train.py", *settings, *stop, "output_dir=half").returncode == -9
    flip_a_bit(
        tmp_path / "half/checkpoints/last.ckpt"
    )  # of step 10; the one before is of step 7, an epoch's end
    done = script("train.py", *settings, "output_dir=resumed", "resume=half")
    assert done.returncode == 0, done.stderr
    assert "going on from the one before it" in done.stdout
    whole, resumed = (
        load_checkpoint(tmp_path / run / "checkpoints/last.ckpt")["state_dict"]
        for run in ("whole", "resumed")
    )
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []

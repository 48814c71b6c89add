"""Ranks that are killed, receive a signal or diverge."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import TINY_RUN, Script, wait_for
from ranks_under_test import command_of, descendants, started
from runs_under_test import TERMINATED, load_checkpoint, result_of, stop_after

pytestmark = pytest.mark.run

LONG = ("trainer.max_epochs=2000", "callbacks.checkpoint.every_n_train_steps=5", "output_dir=run")


def is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def rank_of(process: subprocess.Popen[str], rank: int) -> int:
    """Return the process id of a rank; with Lightning's launcher, rank 0 is the process itself."""
    for pid in descendants(process.pid):
        if f"LOCAL_RANK={rank}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return pid
    assert rank == 0
    return process.pid


@pytest.mark.parametrize(
    ("launcher", "killed", "message"),
    [
        ("lightning", 0, "rank 0 is gone; it may have been killed"),
        ("lightning", 1, "rank 1 was killed by SIGKILL"),
        ("torchrun", 0, "rank 1 lost its peers: "),
        ("torchrun", 1, "rank 0 lost its peers: "),
    ],
)
def test_killed_rank_ends_all_ranks_with_one_line(
    tmp_path: Path, tiny_idx: Path, launcher: str, killed: int, message: str
) -> None:
    with started(command_of(launcher, *LONG, f"data.root={tiny_idx}"), tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        family = [process.pid, *descendants(process.pid)]
        os.kill(rank_of(process, killed), signal.SIGKILL)
        wait_for(lambda: process.poll() is not None and not any(map(is_alive, family)), 30)
    assert process.returncode != 0
    stderr = (tmp_path / "stderr0.txt").read_text()
    ours = [line for line in stderr.splitlines(keepends=True) if line.startswith("error: ")]
    assert len(ours) == 1
    assert ours[0].startswith(f"error: {message}")
    assert f"; resume with python train.py {TINY_RUN[0]} " in ours[0]
    assert ours[0].endswith(" resume=run\n")
    if launcher == "lightning":  # torchrun prints its own report as well
        assert stderr == ours[0]


def test_stopped_rank_ends_all_ranks_after_the_timeout(tmp_path: Path, tiny_idx: Path) -> None:
    """It would answer no signal but SIGKILL and SIGCONT, and the others would wait for its gradients."""
    command = command_of("lightning", *LONG, f"data.root={tiny_idx}", "rank_timeout=2")
    with started(command, tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        stopped = rank_of(process, 1)
        os.kill(stopped, signal.SIGSTOP)
        assert process.wait(30) == 1
        assert not is_alive(stopped)
    stderr = (tmp_path / "stderr0.txt").read_text()
    assert re.match(r"error: rank 1 (is|has been) stopped .*rank_timeout=2 s.*; resume with python ", stderr)
    assert stderr.count("\n") == 1


def test_killed_torchrun_ends_all_ranks(tmp_path: Path, tiny_idx: Path) -> None:
    with started(command_of("torchrun", *LONG, f"data.root={tiny_idx}"), tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        ranks = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, ranks)), 30)
    assert "error: torchrun is gone" in (tmp_path / "stderr0.txt").read_text()


def test_sigterm_to_one_rank_ends_both_at_the_same_step(
    fresh_script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    done = fresh_script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "trainer=ddp_cpu",
        "data.batch_size=8",
        "trainer.max_epochs=50",
        "output_dir=run",
        *stop_after("steps=9", "rank=1", f"signal_number={int(signal.SIGTERM)}"),
    )
    assert done.returncode == TERMINATED
    # Ranks exchange signals after the first batch of a 7-step epoch and at its end.
    hint = f"resume from its last checkpoint with python train.py {TINY_RUN[0]} "
    assert done.stderr.startswith(f"terminated at step 14 (epoch 2): {hint}")
    assert done.stderr.endswith(" resume=run\n")
    assert done.stderr.count("\n") == 1
    assert load_checkpoint(tmp_path / "run")["global_step"] == 14


def test_signal_to_torchrun_and_all_ranks_ends_with_a_checkpoint(tmp_path: Path, tiny_idx: Path) -> None:
    """Clusters send it to all processes. Since torchrun forwards its own, every rank receives two."""
    with started(command_of("torchrun", *LONG, f"data.root={tiny_idx}"), tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        for pid in (*descendants(process.pid), process.pid):
            os.kill(pid, signal.SIGTERM)
        process.wait(60)
    stderr = (tmp_path / "stderr0.txt").read_text()
    (step,) = re.findall(
        r"^terminated at step ([\d,]+) \(epoch \d+\): resume from its last ", stderr, re.MULTILINE
    )
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint["global_step"] == int(step.replace(",", ""))


@pytest.mark.parametrize("launcher", ["lightning", "torchrun"])
def test_two_ranks_save_every_n_minutes_and_stop_when_they_diverge(
    tmp_path: Path, tiny_idx: Path, launcher: str
) -> None:
    command = command_of(
        launcher,
        f"data.root={tiny_idx}",
        "output_dir=run",
        "trainer.max_epochs=9",
        "callbacks.checkpoint.every_n_minutes=0.00001",
        "+callbacks.spoil._target_=stop_after.Spoil",
        "+callbacks.spoil.steps=17",
    )
    with started(command, tmp_path) as process:
        assert process.wait(120) == {"lightning": 2, "torchrun": 1}[launcher]
    stderr = (tmp_path / "stderr0.txt").read_text()
    (line,) = (line for line in stderr.splitlines(keepends=True) if line.startswith("error: "))
    assert "the loss is NaN or infinite at step 18 (epoch 3)" in line
    assert "the last good checkpoint is run/checkpoints/last.ckpt" in line
    if launcher == "lightning":
        assert stderr == line
    # Checkpoints are due after every batch, but ranks exchange it every tenth batch of 7-step epochs.
    assert load_checkpoint(tmp_path / "run")["global_step"] == 15


def test_restarted_ranks_of_torchrun_resume_from_the_last_checkpoint(tmp_path: Path, tiny_idx: Path) -> None:
    command = command_of(
        "torchrun", "callbacks.checkpoint.every_n_train_steps=5", "output_dir=run", "resume=auto",
        "trainer.max_epochs=12", f"data.root={tiny_idx}", "data.num_workers=0",
    )  # fmt: skip
    command.insert(3, "--max-restarts=3")
    with started(command, tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        os.kill(rank_of(process, 1), signal.SIGKILL)
        assert process.wait(300) == 0
    result = result_of(tmp_path / "run")
    assert result["epochs"] == 12
    checkpoint = load_checkpoint(tmp_path / "run")
    assert [row["epoch"] for row in checkpoint["callbacks"]["EpochHistory"]["epochs"]] == list(range(1, 13))
    assert "resume: null" not in (tmp_path / "run/config.yaml").read_text()

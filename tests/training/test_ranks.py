"""Runs of several processes on this machine's CPU over gloo, started as users start them."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import NUM_TINY_TEST, NUM_TINY_TRAIN, ROOT, TINY_RUN, Script, wait_for

pytestmark = pytest.mark.run

TWO_RANKS = (
    "trainer=ddp_cpu",
    "trainer.devices=2",
    "num_threads=1",
    "data.batch_size=8",
    "augmentation=none",
)
ONLY_TRAIN = ("data.val_split=0", "trainer.limit_test_batches=0", "model.stem_stride=2", "logger=none")
DOUBLE = "+callbacks.double._target_=rank_callbacks.DoublePrecision"
LONG = ("trainer.max_epochs=2000", "callbacks.checkpoint.every_n_train_steps=5", "output_dir=run")


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Return the last weights without BatchNorm's running statistics, which are those of rank 0."""
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if not name.endswith(("mean", "var", "tracked"))}


def train(fresh_script: Script, tiny_idx: Path, *settings: str) -> str:
    done = fresh_script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings)
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


@pytest.mark.parametrize(
    ("kind", "alone"),
    [
        # With fixed norms, an image's gradient depends on no other image: only the global batch matters.
        (
            ("+callbacks.freeze._target_=rank_callbacks.FreezeNorms", "optimizer.lr=0.0002"),
            ("data.batch_size=16",),
        ),
        # With BatchNorm, each rank normalizes over its own batch, like each accumulated batch.
        (("optimizer.lr=0.01",), ("data.batch_size=8", "trainer.accumulate_grad_batches=2")),
    ],
)
def test_two_ranks_reach_the_weights_of_one(
    fresh_script: Script, tmp_path: Path, tiny_idx: Path, kind: tuple[str, ...], alone: tuple[str, ...]
) -> None:
    # 96 images make whole batches: 9 epochs of 6 steps
    common = (*kind, *ONLY_TRAIN, DOUBLE, "data.max_train_samples=96", "trainer.max_epochs=9")
    train(fresh_script, tiny_idx, *TWO_RANKS, *common, "output_dir=two")
    train(fresh_script, tiny_idx, *common, *alone, "augmentation=none", "num_threads=1", "output_dir=one")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert torch.load(tmp_path / "two/checkpoints/last.ckpt", weights_only=True)["global_step"] == 54
    # The weights of the first norm start at 1, so the network has trained down to its first layer.
    assert (one["network.features.0.1.weight"] - 1).abs().max() > 0.001
    for name in one:
        assert two[name].dtype == torch.float64
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_see_every_image_once(fresh_script: Script, tmp_path: Path, tiny_idx: Path, ranks: int) -> None:
    # 97 training, 23 validation and 40 test images: neither 2 nor 3 ranks divide all of them
    settings = (
        f"trainer.devices={ranks}",
        "data.val_split=23",
        "data.eval_batch_size=5",
        "data.batch_size=7",
    )
    record = ("+callbacks.record._target_=rank_callbacks.RecordImages", "+callbacks.record.folder=seen")
    stdout = train(fresh_script, tiny_idx, *TWO_RANKS, *settings, *record, "output_dir=run")
    assert stdout.count("model    mobilenet_v2") == 1
    assert "device   cpu, 1 threads" in stdout
    assert not list(tmp_path.glob("*.log"))
    seen = [json.loads((tmp_path / f"seen/{rank}.json").read_text()) for rank in range(ranks)]
    counts = {"train 0": NUM_TINY_TRAIN - 23, "train 1": NUM_TINY_TRAIN - 23, "val 0": 23, "val 1": 23}
    for stage, count in {**counts, "test": NUM_TINY_TEST}.items():
        images = [digest for rank in seen for digest in rank["images"][stage]]
        assert len(images) == count, stage
        assert len(set(images)) == count, stage
    assert [rank["confusion"] for rank in seen] == [NUM_TINY_TEST] * ranks
    # One process counts every test image once, and so must the ranks.
    arguments = ("ckpt=run", "data=idx", f"data.root={tiny_idx}", "format=json")
    alone = json.loads(fresh_script("evaluate.py", *arguments).stdout)
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["test/accuracy"] == pytest.approx(alone["accuracy"], abs=1e-6)
    # The saved metrics are those of all ranks, and those of the last epoch are complete.
    last = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert last["train_metrics"]["confusion"].sum() == NUM_TINY_TRAIN - 23


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in descendants(child))]


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


@contextlib.contextmanager
def started(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process; if the test fails, kill it and its descendants."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    with (cwd / f"stderr{len(list(cwd.glob('stderr*')))}.txt").open("w") as stderr:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=stderr
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            for pid in (*descendants(process.pid), process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()


def command_of(launcher: str, *settings: str) -> list[str]:
    start = {
        "lightning": [],
        "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    }
    return [sys.executable, *start[launcher], str(ROOT / "train.py"), *TINY_RUN, *TWO_RANKS, *settings]


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


def test_killed_torchrun_ends_all_ranks(tmp_path: Path, tiny_idx: Path) -> None:
    with started(command_of("torchrun", *LONG, f"data.root={tiny_idx}"), tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        ranks = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, ranks)), 30)
    assert "error: torchrun is gone" in (tmp_path / "stderr0.txt").read_text()


def test_signal_to_torchrun_and_all_ranks_ends_with_a_checkpoint(tmp_path: Path, tiny_idx: Path) -> None:
    """A cluster does so; torchrun forwards its own signal, so every rank gets two."""
    with started(command_of("torchrun", *LONG, f"data.root={tiny_idx}"), tmp_path) as process:
        wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file, 120)
        for pid in (*descendants(process.pid), process.pid):
            os.kill(pid, signal.SIGTERM)
        process.wait(60)
    stderr = (tmp_path / "stderr0.txt").read_text()
    (step,) = re.findall(
        r"^terminated at step ([\d,]+) \(epoch \d+\): resume from its last ", stderr, re.MULTILINE
    )
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == int(step.replace(",", ""))


@pytest.mark.parametrize("launcher", ["lightning", "torchrun"])
def test_two_ranks_save_by_minutes_and_stop_when_they_diverge(
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
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 15


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
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["epochs"] == 12
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert [row["epoch"] for row in checkpoint["callbacks"]["EpochHistory"]["epochs"]] == list(range(1, 13))
    assert "resume: null" not in (tmp_path / "run/config.yaml").read_text()


def test_two_nodes_reach_the_weights_of_one(fresh_script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    train(fresh_script, tiny_idx, *TWO_RANKS, DOUBLE, "output_dir=one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = []
    with contextlib.ExitStack() as stack:
        for node in range(2):
            folder = tmp_path / f"node{node}"
            folder.mkdir()
            settings = ("trainer.num_nodes=2", "trainer.devices=1", f"data.root={tiny_idx}", "output_dir=run")
            command = command_of("torchrun", *settings, DOUBLE)
            place = ["--nnodes=2", "--nproc-per-node=1", f"--node-rank={node}"]
            command[3:5] = [*place, "--master-addr=127.0.0.1", f"--master-port={port}"]
            nodes.append(stack.enter_context(started(command, folder)))
        assert [node.wait(120) for node in nodes] == [0, 0]
    assert not (tmp_path / "node1/run/result.json").exists()
    one = json.loads((tmp_path / "one/result.json").read_text())
    two = json.loads((tmp_path / "node0/run/result.json").read_text())
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert two[key] == one[key]
    one_weights = weights(tmp_path / "one")
    for name, value in weights(tmp_path / "node0/run").items():
        torch.testing.assert_close(value, one_weights[name], rtol=0, atol=1e-10, msg=name)

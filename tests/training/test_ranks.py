"""Several ranks or nodes give the results of one process."""

import contextlib
import json
import socket
from pathlib import Path

import pytest
import torch
from conftest import NUM_TINY_TEST, NUM_TINY_TRAIN, TINY_RUN, Script
from ranks_under_test import DOUBLE, TWO_RANKS, command_of, started
from runs_under_test import load_checkpoint, result_of

pytestmark = pytest.mark.run

ONLY_TRAIN = ("data.val_split=0", "trainer.limit_test_batches=0", "model.stem_stride=2", "logger=none")


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Return the last weights without BatchNorm's running statistics, which come from rank 0."""
    state = load_checkpoint(run)["state_dict"]
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
    # 96 images make 6 whole batches: 9 epochs are 54 steps.
    common = (*kind, *ONLY_TRAIN, DOUBLE, "data.max_train_samples=96", "trainer.max_epochs=9")
    train(fresh_script, tiny_idx, *TWO_RANKS, *common, "output_dir=two")
    train(fresh_script, tiny_idx, *common, *alone, "augmentation=none", "num_threads=1", "output_dir=one")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert load_checkpoint(tmp_path / "two")["global_step"] == 54
    # The weights of the first norm start at 1, so the network has trained down to its first layer.
    assert (one["network.features.0.1.weight"] - 1).abs().max() > 0.001
    for name in one:
        assert two[name].dtype == torch.float64
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_see_every_image_once(fresh_script: Script, tmp_path: Path, tiny_idx: Path, ranks: int) -> None:
    # 97 training, 23 validation and 40 test images: neither 2 nor 3 divides all three numbers.
    settings = (
        f"trainer.devices={ranks}",
        "data.val_split=23",
        "data.eval_batch_size=5",
        "data.batch_size=7",
    )
    record = ("+callbacks.record._target_=rank_callbacks.RecordImages", "+callbacks.record.folder=seen")
    stdout = train(fresh_script, tiny_idx, *TWO_RANKS, *settings, *record, "output_dir=run")
    assert stdout.count("model    mobilenet_v2") == 1
    assert "device   cpu, 1 thread," in stdout
    assert not list(tmp_path.glob("*.log"))
    seen = [json.loads((tmp_path / f"seen/{rank}.json").read_text()) for rank in range(ranks)]
    counts = {"train 0": NUM_TINY_TRAIN - 23, "train 1": NUM_TINY_TRAIN - 23, "val 0": 23, "val 1": 23}
    for stage, count in {**counts, "test": NUM_TINY_TEST}.items():
        images = [digest for rank in seen for digest in rank["images"][stage]]
        assert len(images) == count, stage
        assert len(set(images)) == count, stage
    assert [rank["confusion"] for rank in seen] == [NUM_TINY_TEST] * ranks
    # Evaluation in one process counts every test image once.
    arguments = ("ckpt=run", "data=idx", f"data.root={tiny_idx}", "format=json")
    alone = json.loads(fresh_script("evaluate.py", *arguments).stdout)
    result = result_of(tmp_path / "run")
    assert result["test/accuracy"] == pytest.approx(alone["accuracy"], abs=1e-6)
    # The saved metrics cover the images of all ranks in the whole last epoch.
    last = load_checkpoint(tmp_path / "run")
    assert last["train_metrics"]["confusion"].sum() == NUM_TINY_TRAIN - 23


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
    one = result_of(tmp_path / "one")
    two = result_of(tmp_path / "node0/run")
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert two[key] == one[key]
    one_weights = weights(tmp_path / "one")
    for name, value in weights(tmp_path / "node0/run").items():
        torch.testing.assert_close(value, one_weights[name], rtol=0, atol=1e-10, msg=name)


def test_two_ranks_resume_the_latest_run(fresh_script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer=ddp_cpu", "data.batch_size=8")
    assert fresh_script("train.py", *settings, "trainer.max_epochs=1", "output_dir=one").returncode == 0
    done = fresh_script("train.py", *settings, "trainer.max_epochs=2", "output_dir=two", "resume=latest")
    assert (done.returncode, done.stderr) == (0, "")
    history = load_checkpoint(tmp_path / "two")["callbacks"]["EpochHistory"]
    assert [row["epoch"] for row in history["epochs"]] == [1, 2]

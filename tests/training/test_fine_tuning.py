"""Runs with stages that are frozen at first: resume, ranks, balanced classes."""

import math
from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from ranks_under_test import DOUBLE, TWO_RANKS
from runs_under_test import BUSY, EVERY_STEP, KILLED, assert_same_run, load_checkpoint, stop_after

pytestmark = pytest.mark.run

# 100 images in batches of 16 make 6 steps per epoch; stages are unfrozen after 12 steps.
FINE_TUNING = (
    "trainer.max_epochs=3",
    "task.freeze_stages=backbone",
    "task.freeze_epochs=2",
    "task.backbone_lr_factor=0.1",
    "data.sampling=balanced",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_idx: Path) -> Path:
    """Return a run that nothing has stopped."""
    from conftest import run_script

    cwd = tmp_path_factory.mktemp("whole")
    settings = (*TINY_RUN, *BUSY, *FINE_TUNING, f"data.root={tiny_idx}", "output_dir=run", EVERY_STEP)
    done = run_script("train.py", *settings, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert "frozen   stem to head in the first 2 epochs" in done.stdout
    assert done.stdout.count("epoch 3: all stages train from now on") == 1
    return cwd / "run"


@pytest.mark.parametrize("steps", [(9,), (14,), (3, 12, 13)], ids=["frozen", "unfrozen", "around-unfreezing"])
def test_killed_fine_tuning_resumes_bit_exactly(
    script: Script, tmp_path: Path, tiny_idx: Path, whole: Path, steps: tuple[int, ...]
) -> None:
    settings = (*TINY_RUN, *BUSY, *FINE_TUNING, f"data.root={tiny_idx}", "output_dir=run", EVERY_STEP)
    for step in steps:
        killed = script("train.py", *settings, "resume=auto", *stop_after(f"steps={step}"))
        assert killed.returncode == KILLED, killed.stderr
        assert load_checkpoint(tmp_path / "run")["global_step"] == step
    done = script("train.py", *settings, "resume=auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_run(whole, tmp_path / "run")


def test_frozen_backbone_keeps_weights_and_statistics(tmp_path: Path, tiny_idx: Path, script: Script) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "task.freeze_stages=backbone", "callbacks=ema")
    states = []
    for epochs in (1, 2):
        done = script("train.py", *settings, f"trainer.max_epochs={epochs}", f"output_dir={epochs}")
        assert (done.returncode, done.stderr) == (0, "")
        states.append(load_checkpoint(tmp_path / str(epochs))["state_dict"])
    differing = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert differing == {"network.classifier.1.weight", "network.classifier.1.bias"}


def test_changed_sampling_or_groups_are_refused(
    script: Script, tmp_path: Path, tiny_idx: Path, whole: Path
) -> None:
    settings = (*TINY_RUN, *BUSY, *FINE_TUNING, f"data.root={tiny_idx}", "output_dir=run", EVERY_STEP)
    assert script("train.py", *settings, *stop_after("steps=9")).returncode == KILLED
    shuffled = script("train.py", *settings, "resume=run", "data.sampling=shuffle")
    assert shuffled.returncode == 2
    assert (
        "resume: the checkpoint is from the middle of an epoch with sampling balanced, but this run has "
        "shuffle; use the earlier value" in shuffled.stderr
    )
    grouped = script("train.py", *settings, "resume=run", "task.freeze_epochs=null")
    assert grouped.returncode == 2
    assert "was trained with other groups of parameters; use its task.freeze_stages" in grouped.stderr
    faster = script(
        "train.py",
        *settings,
        f"resume={whole}",
        "output_dir=longer",
        "trainer.max_epochs=4",
        "task.backbone_lr_factor=0.5",
    )
    assert faster.returncode == 0, faster.stderr
    assert "task.backbone_lr_factor=0.5 is ignored: the checkpoint restores 0.1" in faster.stdout


def test_two_ranks_average_the_gradients_of_unfrozen_stages(
    fresh_script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    """With fixed norms, an image's gradient depends on no other image: only the global batch matters."""
    common = (
        *TINY_RUN,
        f"data.root={tiny_idx}",
        *("data.val_split=0", "trainer.limit_test_batches=0", "model.stem_stride=2", "logger=none"),
        *("data.max_train_samples=96", "trainer.max_epochs=4", "optimizer.lr=0.0002", DOUBLE),
        *("task.freeze_stages=4", "task.freeze_epochs=2", "task.backbone_lr_factor=0.5"),
        "+callbacks.freeze._target_=rank_callbacks.FreezeNorms",
        "+callbacks.digest._target_=rank_callbacks.WriteWeights",
        "+callbacks.digest.folder=weights",
    )
    alone = ("data.batch_size=16", "augmentation=none", "num_threads=1")
    for folder, settings in (("two", TWO_RANKS), ("one", alone)):
        done = fresh_script("train.py", *common, *settings, f"output_dir={folder}")
        assert (done.returncode, done.stderr) == (0, "")
    ranks = [torch.load(tmp_path / f"weights/2-{rank}.pt", weights_only=True) for rank in range(2)]
    one = torch.load(tmp_path / "weights/1-0.pt", weights_only=True)
    for name, value in one.items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], value, rtol=0, atol=1e-10, msg=name)
    assert not math.isclose(one["network.features.0.0.weight"].std(), 0)
    start = torch.load(tmp_path / "weights/1-0-start.pt", weights_only=True)
    moved = {name for name in one if not torch.equal(one[name], start[name])}
    assert "network.features.0.0.weight" in moved

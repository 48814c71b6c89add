from pathlib import Path

import torch
from conftest import TINY_RUN, Script


def test_diverging_run_stops_and_keeps_its_last_good_checkpoint(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "scheduler=none", "data.val_split=0")
    # An epoch has 8 steps; the weights become infinite before step 11.
    assert script("train.py", *settings, "trainer.max_epochs=1", "output_dir=run").returncode == 0
    done = script(
        "train.py",
        *settings,
        "output_dir=run",
        "resume=run",
        "callbacks.checkpoint.every_n_train_steps=1",
        "+callbacks.spoil._target_=stop_after.Spoil",
        "+callbacks.spoil.steps=10",
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: the loss is NaN or infinite at step 11 (epoch 2), learning rate 0.1; "
    )
    assert "the last good checkpoint is run/checkpoints/last.ckpt (python train.py data=idx " in done.stderr
    assert " resume=run ...); lower optimizer.lr" in done.stderr
    assert done.stderr.count("\n") == 1
    last = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 10
    assert all(value.isfinite().all() for value in last["state_dict"].values())


def test_diverging_run_without_a_checkpoint_says_so(script: Script, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "+callbacks.spoil._target_=stop_after.Spoil",
        "+callbacks.spoil.steps=0",
    )
    assert done.returncode == 2
    assert "at step 1 (epoch 1)" in done.stderr
    assert "; there is no checkpoint yet; lower optimizer.lr" in done.stderr


def test_infinite_weights_after_the_last_step_are_not_saved(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "trainer.max_epochs=1",
        "output_dir=run",
        "+callbacks.spoil._target_=stop_after.Spoil",
        "+callbacks.spoil.steps=7",
        "+callbacks.spoil.after=true",
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: a weight is NaN or infinite at step 7 (epoch 1), ")
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "run/checkpoints").glob("*")) == []

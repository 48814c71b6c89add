"""The memory and the open files of a long run."""

import json
from pathlib import Path

import pytest
from conftest import TINY_RUN, Script


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_memory_and_open_files_stay_constant(fresh_script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    steps = 10_000
    done = fresh_script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "output_dir=run",
        "trainer.max_epochs=-1",
        f"trainer.max_steps={steps}",
        "callbacks.progress.log_every_n_seconds=60",
        "callbacks.checkpoint.every_n_train_steps=50",
        "+callbacks.watch._target_=stop_after.WatchProcess",
        f"+callbacks.watch.every_n_steps={steps // 20}",
        timeout=2900,
    )
    assert done.returncode == 0, done.stderr
    samples = json.loads((tmp_path / "watched.json").read_text())
    assert len(samples) == 20
    settled, last = samples[len(samples) // 4], samples[-1]
    assert last["anonymous_bytes"] - settled["anonymous_bytes"] < 4 << 20, samples
    assert last["open_files"] <= settled["open_files"], samples

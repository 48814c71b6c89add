"""Training on a GPU, and the error where there is none."""

from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from runs_under_test import result_of

ON_GPU = ("trainer=gpu", "trainer.accelerator=gpu")  # the second overrides TINY_RUN


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_one_line(script: Script, tiny_idx: Path) -> None:
    done = script("train.py", "data=idx", f"data.root={tiny_idx}", "trainer.accelerator=gpu")
    assert done.returncode == 2
    assert done.stderr.startswith("error: trainer.accelerator=gpu: PyTorch ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compile_mode", ["null", "reduce-overhead"])
@pytest.mark.parametrize("cache", ["device", "memory", "mmap"])
def test_gpu_run_ends_with_a_result(
    script: Script, tmp_path: Path, tiny_idx: Path, cache: str, compile_mode: str
) -> None:
    gpu = (*ON_GPU, f"data.cache={cache}", f"task.compile={compile_mode}")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *gpu, "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert "device   cuda" in done.stdout
    assert "cannot be compiled" not in done.stdout
    assert result_of(tmp_path / "run")["test/accuracy"] is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("augmentation", "mixing"),
    [("elastic", "cutmix"), ("trivial_augment", "mixup_cutmix"), ("photo", "mixup")],
)
def test_training_step_does_not_wait_for_the_gpu(
    script: Script, tiny_idx: Path, augmentation: str, mixing: str
) -> None:
    # Steps 2 to 7 are checked: the first ones choose kernels. Logging, which reads values, is off.
    quiet = ("trainer.log_every_n_steps=1000", "callbacks.progress.log_every_n_seconds=1000")
    device_work = ("callbacks=ema", f"augmentation={augmentation}", f"mixing={mixing}")
    settings = (*ON_GPU, "data.batch_size=10", "trainer.max_epochs=1", *quiet, *device_work)
    check = ("+callbacks.wait._target_=stop_after.ForbidCudaSync", "+callbacks.wait.steps=[2,8]")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings, *check, "output_dir=run")
    assert done.returncode == 0, done.stderr

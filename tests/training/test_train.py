import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from conftest import NUM_TINY_TEST, ROOT, TINY_RUN, Script, digit_images, scalars, wait_for
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED

ON_GPU = ("trainer=gpu", "trainer.accelerator=gpu")  # the latter since TINY_RUN chooses the CPU
METRICS = {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy"}


def result_of(run: Path) -> dict[str, object]:
    return json.loads((run / "result.json").read_text())  # type: ignore[no-any-return]


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


def assert_equal_bits(one: Path, other: Path) -> None:
    a, b = weights_of(one), weights_of(other)
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


def test_run_folder_is_complete(tiny_run: Path) -> None:
    names = {path.name for path in tiny_run.iterdir() if not path.name.startswith("events.")}
    assert names == {
        "checkpoints",
        "config.yaml",
        "confusion.png",
        "curves.png",
        "metrics.csv",
        "result.json",
    }
    assert {path.name for path in (tiny_run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for image in ("confusion.png", "curves.png"):
        with Image.open(tiny_run / image) as opened:
            assert min(opened.size) > 300


def test_latest_is_a_relative_link(tiny_run: Path) -> None:
    latest = tiny_run.parents[1] / "latest"
    assert latest.is_symlink()
    assert not latest.readlink().is_absolute()
    assert latest.resolve() == tiny_run


def test_result_has_what_others_read(tiny_run: Path) -> None:
    result = result_of(tiny_run)
    for key in ("train/accuracy", "val/accuracy", "test/accuracy"):
        assert 0 <= result[key] <= 1  # type: ignore[operator]
    # Of 40 images, the share that is right is a whole number of fortieths.
    assert (result["test/accuracy"] * NUM_TINY_TEST) % 1 == pytest.approx(0, abs=1e-4)  # type: ignore[operator]
    assert result["epochs"] == 2
    assert result["images_per_second"] > 0  # type: ignore[operator]
    assert result["fit_seconds"] > 0  # type: ignore[operator]
    assert result["parameters"] > 50_000  # type: ignore[operator]
    assert result["macs"] > 100_000  # type: ignore[operator]
    assert Path(str(result["checkpoint"])).name == "best.ckpt"
    assert "train.py data=idx" in str(result["command"])


def test_config_is_resolved(tiny_run: Path) -> None:
    config = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert config["model"]["filters"] == 1
    assert "${" not in (tiny_run / "config.yaml").read_text()


def test_checkpoints_hold_plain_values_alone(tiny_run: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        checkpoint = torch.load(tiny_run / "checkpoints" / name, weights_only=True)
        assert {"state_dict", "hyper_parameters", "epoch", "global_step"} <= set(checkpoint)
        json.dumps(checkpoint["hyper_parameters"])


def test_metrics_are_logged_to_csv_and_tensorboard(tiny_run: Path) -> None:
    with (tiny_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {key for row in rows for key, value in row.items() if value}
    assert logged >= METRICS | {"step/learning_rate", "step/loss", "step/accuracy"}
    events = EventAccumulator(str(tiny_run)).Reload()
    assert set(events.Tags()["scalars"]) >= METRICS | {"step/learning_rate"}
    assert len(events.Scalars("val/accuracy")) >= 2
    assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_output_is_for_people(tiny_run: Path) -> None:
    stdout = (tiny_run.parents[2] / "stdout.txt").read_text()
    lines = stdout.splitlines()
    assert lines[0].startswith("model    mobilenet_v2(filters=1),")
    assert "100 training, 20 validation, 40 test images; 28x28x1, batch size 16" in lines[1]
    assert any(line.startswith("epoch 2 of 2, step") for line in lines)
    assert any(line.startswith("epoch 2 of 2: train accuracy") for line in lines)
    assert lines[-3].startswith("accuracy  training ")
    assert lines[-2].startswith("run       outputs/")
    assert lines[-1].startswith("predict   python predict.py ckpt=outputs/")
    assert "litmodels" not in stdout
    assert (tiny_run.parents[2] / "stderr.txt").read_text() == ""


def test_equal_seeds_give_equal_bits_and_others_do_not(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    for seed in (0, 1):
        done = script(
            "train.py", *TINY_RUN, f"data.root={tiny_idx}", f"seed={seed}", f"output_dir=run {seed}"
        )
        assert done.returncode == 0, done.stderr
    reference = tiny_run / "checkpoints/last.ckpt"
    assert_equal_bits(tmp_path / "run 0/checkpoints/last.ckpt", reference)
    with pytest.raises(AssertionError):
        assert_equal_bits(tmp_path / "run 1/checkpoints/last.ckpt", reference)


def test_resume_in_the_middle_of_an_epoch_ends_with_the_same_bits(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}")
    # 100 images in batches of 16: 7 steps an epoch, so step 10 is in the middle of the second.
    done = script(
        "train.py",
        *settings,
        "output_dir=half",
        "callbacks.checkpoint.every_n_train_steps=5",
        "+callbacks.stop._target_=stop_after.StopAfter",
        "+callbacks.stop.steps=12",
    )
    assert done.returncode == -signal.SIGKILL
    checkpoint = torch.load(tmp_path / "half/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 10
    done = script("train.py", *settings, "output_dir=whole", "resume=half")
    assert done.returncode == 0, done.stderr
    for name in ("last.ckpt", "best.ckpt"):
        assert_equal_bits(tmp_path / "whole/checkpoints" / name, tiny_run / "checkpoints" / name)
    resumed, whole = result_of(tmp_path / "whole"), result_of(tiny_run)
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert resumed[key] == whole[key]
    logged = [(folder / "metrics.csv").read_text() for folder in (tmp_path / "whole", tiny_run)]
    assert logged[0] == logged[1]
    assert resumed["images_per_second"] < 50 * whole["images_per_second"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "the checkpoint already has 2 epochs; to train longer, use trainer.max_epochs=3 or more"),
        (
            ["trainer.max_epochs=-1", "trainer.max_steps=9"],
            "the checkpoint already has 14 steps; to train longer, use trainer.max_steps=15 or more",
        ),
        (
            ["trainer.max_epochs=3", "model.filters=2"],
            "the checkpoint has model.filters=1, but this run has model.filters=2; use the same value",
        ),
        (
            ["trainer.max_epochs=3", "optimizer=adamw"],
            "the checkpoint was trained with SGD, but this run uses AdamW; choose the same optimizer",
        ),
    ],
)
def test_resume_that_cannot_go_on_is_one_line(
    script: Script, tiny_run: Path, tiny_idx: Path, settings: list[str], message: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", f"resume={tiny_run}", *settings)
    assert done.returncode == 2
    checkpoint = tiny_run / "checkpoints/last.ckpt"
    assert done.stderr == f"error: resume={checkpoint}: {message}\n"


def test_sigterm_ends_a_run_with_a_word(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "output_dir=run",
        "+callbacks.stop._target_=stop_after.StopAfter",
        "+callbacks.stop.steps=9",
        f"+callbacks.stop.signal_number={int(signal.SIGTERM)}",
    )
    assert done.returncode == 143
    said, _, command = done.stderr.partition(": ")
    assert said == "terminated at step 10 (epoch 2)"
    assert command.startswith(f"resume from its last checkpoint with python train.py {TINY_RUN[0]} ")
    assert command.endswith(" resume=run\n")
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 10
    done = script("train.py", *shlex.split(command.partition(" train.py ")[2]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "changed settings" not in done.stdout
    assert result_of(tmp_path / "run")["epochs"] == 2


def test_two_ranks_end_together_when_one_is_told_to(
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
        "+callbacks.stop._target_=stop_after.StopAfter",
        "+callbacks.stop.steps=9",
        "+callbacks.stop.rank=1",
        f"+callbacks.stop.signal_number={int(signal.SIGTERM)}",
    )
    assert done.returncode == 143
    # They ask each other after the first batch of an epoch of seven, and at its end.
    hint = f"resume from its last checkpoint with python train.py {TINY_RUN[0]} "
    assert done.stderr.startswith(f"terminated at step 14 (epoch 2): {hint}")
    assert done.stderr.endswith(" resume=run\n")
    assert done.stderr.count("\n") == 1
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 14


def test_two_ranks_go_on_with_the_latest_run(fresh_script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer=ddp_cpu", "data.batch_size=8")
    assert fresh_script("train.py", *settings, "trainer.max_epochs=1", "output_dir=one").returncode == 0
    done = fresh_script("train.py", *settings, "trainer.max_epochs=2", "output_dir=two", "resume=latest")
    assert (done.returncode, done.stderr) == (0, "")
    history = torch.load(tmp_path / "two/checkpoints/last.ckpt", weights_only=True)["callbacks"][
        "EpochHistory"
    ]
    assert [row["epoch"] for row in history["epochs"]] == [1, 2]


def test_latest_stays_with_the_run_that_has_weights(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = (*TINY_RUN[:-2], f"data.root={tiny_idx}", "trainer.limit_train_batches=2")
    assert script("train.py", *settings, "output_dir=run").returncode == 0
    assert script("train.py", *settings, "output_dir=other", "callbacks=progress").returncode == 0
    assert (tmp_path / "outputs/latest").resolve() == tmp_path / "run"


def test_groups_may_be_deleted(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [s for s in TINY_RUN if not s.startswith("callbacks")]
    done = script("train.py", *settings, f"data.root={tiny_idx}", "output_dir=run", "~callbacks", "~logger")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.yaml",
        "confusion.png",
        "curves.png",
        "result.json",
    }


def test_best_by_loss_still_reports_its_accuracy(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    """That of the weights that are kept, also where an epoch has several validations."""
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.val_check_interval=2")
    best = ("callbacks.best.monitor=val/loss", "callbacks.best.mode=min")
    done = script("train.py", *settings, *best)
    assert done.returncode == 0, done.stderr
    data = ("data=idx", f"data.root={tiny_idx}", "data.val_split=20", "split=val", "format=json")
    measured = json.loads(script("evaluate.py", "ckpt=run", *data).stdout)["accuracy"]
    assert result_of(tmp_path / "run")["val/accuracy"] == pytest.approx(measured, abs=1e-6)
    # It goes on, too.
    more = script("train.py", *settings, *best, "resume=run", "trainer.max_epochs=3")
    assert more.returncode == 0, more.stderr
    measured = json.loads(script("evaluate.py", "ckpt=run", *data).stdout)["accuracy"]
    assert result_of(tmp_path / "run")["val/accuracy"] == pytest.approx(measured, abs=1e-6)


def test_epochs_without_validation_repeat_no_figures(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        f"data.root={tiny_idx}",
        "trainer.max_epochs=3",
        "trainer.check_val_every_n_epoch=2",
        "output_dir=run",
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " of 3: train accuracy" in line]
    assert ["val accuracy" in line for line in lines] == [False, True, False]
    history = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["callbacks"][
        "EpochHistory"
    ]
    assert ["val/loss" in row for row in history["epochs"]] == [False, True, False]


def test_failed_jobs_do_not_keep_a_sweep_from_the_others(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    done = script("train.py", "-m", *TINY_RUN, f"data.root={tiny_idx}", "model.round_to=5000,1")
    assert done.returncode == 2
    assert "jobs of the sweep failed: 0 (exit code 2)" in done.stderr
    assert len(list(tmp_path.glob("outputs/multirun/*/*/1/result.json"))) == 1


def test_damaged_image_in_a_folder_is_one_line(script: Script, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("L", (8, 8), 9 * i).save(tmp_path / "images" / name / f"{i}.png")
    (tmp_path / "images/a/3.png").write_bytes(b"nothing")
    done = script(
        "train.py",
        *("data=image_folder", "data.root=images", "data.val_split=0"),
        *("data.batch_size=8", "model.filters=1"),
    )
    assert done.returncode == 2
    fix = "fix or remove the file, or leave out all such files with data.on_corrupt_image=skip"
    assert done.stderr == f"error: images/a/3.png: not an image; {fix}\n"


@pytest.mark.parametrize("why", ["data.val_split=0", "trainer.max_steps=3"])
def test_without_validation_best_is_the_last(
    script: Script, tmp_path: Path, tiny_idx: Path, why: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", why, "output_dir=run")
    assert (done.returncode, done.stderr) == (0, "")
    checkpoints = tmp_path / "run/checkpoints"
    assert_equal_bits(checkpoints / "best.ckpt", checkpoints / "last.ckpt")
    assert result_of(tmp_path / "run")["val/accuracy"] is None


def test_sweep_is_a_folder_of_runs_with_one_table(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        "-m",
        *TINY_RUN[:-1],
        f"data.root={tiny_idx}",
        "trainer.max_epochs=1",
        "model.filters=1,2",
        "optimizer=sgd,adamw",
    )
    assert done.returncode == 0, done.stderr
    (table,) = tmp_path.glob("outputs/multirun/*/*/results.csv")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["model.filters"] for row in rows] == ["1", "1", "2", "2"]
    assert [row["optimizer._target_"] for row in rows] == ["torch.optim.SGD", "torch.optim.AdamW"] * 2
    assert len({row["parameters"] for row in rows}) == 2
    for row in rows:
        assert float(row["test/accuracy"]) == result_of(table.parent / row["job"])["test/accuracy"]


def test_image_folder_of_the_original_layout(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    images, labels = digit_images(60, seed=3)
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / f"images (all)/{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((56, 56)).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
    done = script(
        "train.py",
        "data=image_folder",
        "data.root=images (all)",
        "data.batch_size=16",
        "model.filters=1",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "output_dir=run",
    )
    assert done.returncode == 0, done.stderr
    assert "48 training, 6 validation, 6 test images; 56x56x3" in done.stdout
    assert result_of(tmp_path / "run")["test/accuracy"] is not None


def test_an_evaluation_says_where_its_test_images_may_have_been_trained_on(
    script: Script, tmp_path: Path
) -> None:
    images, labels = digit_images(60, seed=1)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / f"images/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"images/{label}/{i}.png")
    files = ("data=image_folder", "data.root=images")
    settings = (*TINY_RUN[3:], "data.val_split=0", "trainer.max_epochs=1", "output_dir=run")
    done = script("train.py", *files, *settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "was trained with another split"
        in script("evaluate.py", "ckpt=run", *files, "data.val_split=0.1").stderr
    )
    assert script("evaluate.py", "ckpt=run", *files).stderr == ""


@pytest.mark.parametrize("debug", ["smoke", "overfit", "profiler"])
def test_debug_choices_run(fresh_script: Script, tmp_path: Path, tiny_idx: Path, debug: str) -> None:
    data = ("data=idx", f"data.root={tiny_idx}", "data.batch_size=16")
    done = fresh_script("train.py", f"debug={debug}", *data, "output_dir=run")
    assert done.returncode == 0, done.stderr
    if debug == "overfit":
        assert result_of(tmp_path / "run")["train/accuracy"] == 1
    if debug == "profiler":
        assert "run_training_epoch" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_gpu_where_there_is_none_is_one_line(script: Script, tiny_idx: Path) -> None:
    done = script("train.py", "data=idx", f"data.root={tiny_idx}", "trainer.accelerator=gpu")
    assert done.returncode == 2
    assert done.stderr.startswith("error: trainer.accelerator=gpu: PyTorch ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compile_mode", ["null", "reduce-overhead"])
@pytest.mark.parametrize("cache", ["device", "memory", "mmap"])
def test_gpu_run(script: Script, tmp_path: Path, tiny_idx: Path, cache: str, compile_mode: str) -> None:
    gpu = (*ON_GPU, f"data.cache={cache}", f"task.compile={compile_mode}")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *gpu, "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert "device   cuda" in done.stdout
    assert "cannot be compiled" not in done.stdout
    assert result_of(tmp_path / "run")["test/accuracy"] is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_step_on_a_gpu_does_not_wait_for_it(script: Script, tiny_idx: Path) -> None:
    # The steps in between: the first chooses kernels, every log_every_n_steps reads values.
    quiet = ("trainer.log_every_n_steps=1000", "callbacks.progress.log_every_n_seconds=1000")
    device_work = ("callbacks=ema", "augmentation=elastic", "mixing=cutmix")
    settings = (*ON_GPU, "data.batch_size=10", "trainer.max_epochs=1", *quiet, *device_work)
    check = ("+callbacks.wait._target_=stop_after.RefuseToWait", "+callbacks.wait.steps=[2,8]")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings, *check, "output_dir=run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cache", ["memory", "device"])
def test_cached_images_train_to_the_same_bits(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path, cache: str
) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", f"data.cache={cache}", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert_equal_bits(tmp_path / "run/checkpoints/last.ckpt", tiny_run / "checkpoints/last.ckpt")


def test_where_nothing_compiles_the_network_runs_as_it_is(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "task.compile=default", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("task.compile: the network cannot be compiled here; running without it") == 1
    assert_equal_bits(tmp_path / "run/checkpoints/last.ckpt", tiny_run / "checkpoints/last.ckpt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=idx", "data.root=nowhere"], "nowhere/train-images-idx3-ubyte: no such file"),
        (["data=image_folder", "data.root=nowhere"], "data.root=nowhere: no such folder"),
        (["resume=nowhere"], "resume=nowhere: no checkpoint found; train a model first"),
    ],
)
def test_missing_inputs_are_one_line(script: Script, arguments: list[str], message: str) -> None:
    done = script("train.py", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_to_their_norm(
    script: Script, tmp_path: Path, tiny_idx: Path, precision: str
) -> None:
    one_step = (
        "trainer.max_steps=1",
        "scheduler=none",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
        "data.val_split=0",
    )
    for name, settings in [("start", ["optimizer.lr=1e-12"]), ("clip", ["optimizer.lr=1.0"])]:
        done = script(
            "train.py",
            *TINY_RUN,
            *one_step,
            *settings,
            "trainer.gradient_clip_val=0.001",
            f"trainer.precision={precision}",
            f"data.root={tiny_idx}",
            f"output_dir={name}",
        )
        assert done.returncode == 0, done.stderr
    start, clipped = (weights_of(tmp_path / name / "checkpoints/last.ckpt") for name in ("start", "clip"))
    moved = [clipped[key] - start[key] for key in start if "running" not in key and "num_batches" not in key]
    length = torch.cat([difference.flatten() for difference in moved]).norm()
    assert length.item() == pytest.approx(0.001, rel=1e-3)


def limit_after(batches: int) -> tuple[str, ...]:
    return ("+callbacks.limit._target_=stop_after.LimitAfter", f"+callbacks.limit.batches={batches}")


PLATEAU = ("scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5")


@pytest.mark.parametrize(
    ("settings", "limits", "steps"),
    [
        ((), [("trainer.max_steps=3",), ("trainer.max_steps=10",)], 10),
        # A validation comes then
        (("trainer.val_check_interval=3",), [("trainer.max_steps=10",)], 10),
        # It is the epoch's last, which the schedule looks at
        ((*PLATEAU, "trainer.val_check_interval=3"), [limit_after(13)], 13),
        # Between two batches of a step
        (("trainer.accumulate_grad_batches=2",), [limit_after(8)], 5),
        (("trainer.accumulate_grad_batches=2", "trainer.val_check_interval=2"), [limit_after(8)], 5),
        (("callbacks=ema", "callbacks.checkpoint.every_n_train_steps=1"), [limit_after(10)], 10),
    ],
    ids=["twice", "at-validation", "plateau", "adding-up", "adding-up-at-validation", "averaged"],
)
def test_a_run_that_a_limit_ended_within_an_epoch_goes_on_there(
    script: Script,
    tmp_path: Path,
    tiny_idx: Path,
    settings: tuple[str, ...],
    limits: list[tuple[str, ...]],
    steps: int,
) -> None:
    if not settings or settings[0] not in PLATEAU:
        settings = ("scheduler=none", *settings)
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "num_threads=1", *settings, "trainer.max_epochs=3")
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    for limit in limits:
        stopped = script("train.py", *settings, *limit, "output_dir=run", "resume=auto")
        assert (stopped.returncode, stopped.stderr) == (0, "")
    last = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == steps
    # The validation that came after is in it.
    best = last["callbacks"]["BestCheckpoint"]
    if (accuracy := result_of(tmp_path / "run")["val/accuracy"]) is not None:
        assert best["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    done = script("train.py", *settings, "output_dir=run", "resume=auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert_equal_bits(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "whole/checkpoints/last.ckpt")
    one, other = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("whole", "run")
    )
    assert other["lr_schedulers"] == one["lr_schedulers"]
    for checkpoint in (one, other):
        del checkpoint["callbacks"]["EpochHistory"]["seconds"]  # more or less, as the machine had time
    assert other["callbacks"]["EpochHistory"] == one["callbacks"]["EpochHistory"]
    assert [row["epoch"] for row in other["callbacks"]["EpochHistory"]["epochs"]] == [1, 2, 3]
    # And the epoch that was cut has left nothing in the curves.
    assert (tmp_path / "run/metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()
    assert scalars(tmp_path / "run") == scalars(tmp_path / "whole")


def test_a_run_that_goes_on_says_what_changes(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=3", "output_dir=run")
    changes = ("augmentation=none", "optimizer.weight_decay=0.5")
    done = script("train.py", *settings, f"resume={tiny_run}", *changes)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (line for line in done.stdout.splitlines() if "resumes with changed settings" in line)
    assert "optimizer.weight_decay" not in line
    kept = "optimizer.weight_decay=0.5 is ignored: the checkpoint restores 0.0"
    assert sum(kept in line for line in done.stdout.splitlines()) == 1
    assert "augmentation._target_=mobilenet_lab.data.transforms.augmentation.Identity (was " in line
    assert "max_epochs" not in line
    refused = script("train.py", *settings, f"resume={tiny_run}", "scheduler=plateau")
    assert refused.returncode == 2
    assert "choose the scheduler that the checkpoint was trained with" in refused.stderr
    # A finished run of changed settings is not taken for this one.
    watched = ("trainer.log_every_n_steps=1", "data.cache=memory", "trainer.enable_progress_bar=false")
    finished = script("train.py", *settings, *changes, *watched, "resume=auto")
    assert finished.stdout == "run is already finished\n"
    other = script("train.py", *settings, *changes, "resume=auto", "model.filters=2")
    assert other.returncode == 2
    assert (
        "the checkpoint has model.filters=1, but this run has model.filters=2; use the same value"
        in other.stderr
    )
    # What was not used is not what the run had.
    longer = script("train.py", *settings, "resume=run", "trainer.max_epochs=4", changes[0])
    assert longer.returncode == 0, longer.stderr
    assert "is ignored" not in longer.stdout


def test_a_command_that_fails_leaves_an_earlier_run_as_it_is(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run")
    done = script("train.py", *settings, "+logger.mine._target_=nowhere.Logger")
    assert done.returncode == 2
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_learning_rate_that_plateau_has_lowered_is_no_other_setting(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, *PLATEAU, f"data.root={tiny_idx}", "output_dir=run")
    assert script("train.py", *settings, "trainer.max_epochs=8").returncode == 0
    (state,) = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["optimizer_states"]
    assert state["param_groups"][0]["lr"] < 0.2
    same = script("train.py", *settings, "resume=auto", "trainer.max_epochs=9")
    assert same.returncode == 0, same.stderr
    assert "is ignored" not in same.stdout
    changed = script("train.py", *settings, "resume=auto", "trainer.max_epochs=10", "optimizer.lr=0.01")
    assert changed.returncode == 0, changed.stderr
    assert "optimizer.lr=0.01 is ignored" in changed.stdout
    once_more = script("train.py", *settings, "resume=auto", "trainer.max_epochs=11", "optimizer.lr=0.01")
    assert once_more.returncode == 0, once_more.stderr
    assert "optimizer.lr=0.01 is ignored" in once_more.stdout


def test_a_network_that_no_validation_has_seen_is_not_the_best(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=4")
    assert script("train.py", *settings, "trainer.max_steps=10", "output_dir=run").returncode == 0
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "alone")
    done = script("train.py", *settings, "resume=alone/last.ckpt", "trainer.max_steps=12", "output_dir=on")
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "on")["val/accuracy"] is None


def test_plateau_and_a_limit_of_steps_and_no_progress(script: Script, tiny_idx: Path) -> None:
    settings = ("scheduler=plateau", "trainer.max_steps=3", "trainer.enable_progress_bar=false")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings)
    assert (done.returncode, done.stderr) == (0, "")


def heed_signals() -> None:
    """As a terminal's programs do; what ignores them hands that on to what it starts."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def sweep(tmp_path: Path, tiny_idx: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep of two long jobs, of which the first has written a checkpoint."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "train.py"), "-m", *TINY_RUN, f"data.root={tiny_idx}"),
            *("trainer.max_epochs=500", "seed=1,2", "hydra.sweep.dir=sweep"),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_signals,
    )
    wait_for((tmp_path / "sweep/0/checkpoints/last.ckpt").is_file, 120)
    yield process
    process.kill()
    process.wait()


@pytest.mark.run
def test_a_signal_to_a_sweep_ends_its_job_with_a_checkpoint(
    tmp_path: Path, sweep: subprocess.Popen[str]
) -> None:
    os.killpg(sweep.pid, signal.SIGTERM)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 143
    assert "resume from its last checkpoint" in errors
    assert not (tmp_path / "sweep/1").exists()


@pytest.mark.run
def test_a_second_signal_to_a_sweep_does_not_leave_its_job_alone(sweep: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{sweep.pid}/task/{sweep.pid}/children").read_text()
    (job,) = (int(pid) for pid in children.split())
    assert f"{SIGNALS_FORWARDED}=" in Path(f"/proc/{job}/environ").read_text()
    os.kill(job, signal.SIGSTOP)  # it has much to do yet
    for _ in range(2):
        os.kill(sweep.pid, signal.SIGTERM)
        time.sleep(0.5)
    assert sweep.poll() is None
    os.kill(job, signal.SIGCONT)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 143, errors
    assert not Path(f"/proc/{job}").exists()


def test_time_limit_ends_a_run_with_its_results(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script(
        "train.py",
        *TINY_RUN,
        "trainer.max_epochs=-1",
        "trainer.max_time=00:00:00:05",
        "scheduler=none",
        f"data.root={tiny_idx}",
        "output_dir=run",
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = result_of(tmp_path / "run")
    assert result["fit_seconds"] < 60  # type: ignore[operator]
    assert result["test/accuracy"] is not None
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()

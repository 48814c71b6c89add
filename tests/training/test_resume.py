"""What a run promises that is stopped and goes on; `make soak` asks ten times as much."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, TINY_RUN, Script, scalars
from stop_and_go import stop_and_go

pytestmark = pytest.mark.run

# Everything that draws random numbers or has a state, and checkpoints all the time
BUSY = (
    "augmentation=elastic",
    "mixing=mixup",
    "callbacks=ema",
    "model.dropout=0.2",
    "num_threads=1",
)
EVERY_STEP = "callbacks.checkpoint.every_n_train_steps=1"
KILLED, INTERRUPTED, TERMINATED = -signal.SIGKILL, 130, 143


def run_lives(folder: Path, root: Path, *settings: str, stops: int = 0, **options: Any) -> list[int]:
    """Stop a run at random moments of the time that the whole one took; return how each attempt ended."""
    if stops:
        whole = json.loads((folder.with_name("whole") / "result.json").read_text())
        options["longest"] = 2 * whole["fit_seconds"] / stops
    settings = (*TINY_RUN, f"data.root={root}", *settings)
    codes, steps = stop_and_go(folder, settings, stops, **options)
    assert codes[-1] == 0, folder.with_suffix(".log").read_text()[-3000:]
    if stops:
        # Stopped within the training, too, and not only while a process starts or at the end
        within = set(steps) - {0, load(folder)["global_step"]}
        assert len(within) >= stops / 6, (codes, steps)
    return codes


def load(folder: Path, name: str = "last") -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
    return checkpoint


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two nested structures differ by a bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [text for key in one for text in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return [
            t
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for t in differences(a, b, f"{where}.{i}")
        ]
    return [] if one == other else [where]


def assert_same_run(whole: Path, stopped: Path, names: Sequence[str] = ("last", "best")) -> None:
    for name in names:
        one, other = load(whole, name), load(stopped, name)
        kept = (
            "state_dict",
            "current_model_state",
            "optimizer_states",
            "lr_schedulers",
            "epoch",
            "global_step",
        )
        kept = (*kept, "train_metrics", "averaging_state")
        assert differences(*({key: c[key] for key in kept if key in c} for c in (one, other))) == []
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, stopped)]
    for key in ("train/accuracy", "val/accuracy", "test/accuracy", "epochs"):
        assert results[0][key] == results[1][key]
    assert (whole / "metrics.csv").read_text() == (stopped / "metrics.csv").read_text()
    assert scalars(whole) == scalars(stopped)


@pytest.mark.parametrize(
    ("stops", "epochs"),
    [(8, 32), pytest.param(20, 800, marks=[pytest.mark.soak, pytest.mark.timeout(9000)])],
)
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(
    tmp_path: Path, tiny_idx: Path, stops: int, epochs: int
) -> None:
    settings = (*BUSY, f"trainer.max_epochs={epochs}", "callbacks.checkpoint.every_n_train_steps=3")
    run_lives(tmp_path / "whole", tiny_idx, *settings)
    codes = run_lives(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=1)
    assert codes.count(KILLED) >= 0.75 * stops, codes  # an attempt may also end before its time
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("stops", [4, pytest.param(6, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "settings",
    [
        ("data.num_workers=2", EVERY_STEP),
        (
            "trainer.val_check_interval=0.5",
            "trainer.accumulate_grad_batches=2",
            "optimizer=adamw",
            EVERY_STEP,
        ),
        ("scheduler=cosine", "trainer.max_epochs=-1", "trainer.max_steps=84"),
        ("scheduler=plateau", "scheduler.patience=0"),
    ],
    ids=["workers", "validation-within-epochs-and-accumulation", "steps-from-epochs-ends", "plateau"],
)
def test_so_does_one_with(tmp_path: Path, tiny_idx: Path, settings: tuple[str, ...], stops: int) -> None:
    settings = (*BUSY, "trainer.max_epochs=12", *settings)
    run_lives(tmp_path / "whole", tiny_idx, *settings)
    run_lives(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=2)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    ("stops", "epochs"),
    [(8, 12), pytest.param(200, 200, marks=[pytest.mark.soak, pytest.mark.timeout(9000)])],
)
def test_a_run_ended_by_signals_goes_on_from_the_very_step(
    tmp_path: Path, tiny_idx: Path, stops: int, epochs: int
) -> None:
    """Without any checkpoint but those of epochs' ends and of the signals."""
    settings = (*BUSY, f"trainer.max_epochs={epochs}")
    run_lives(tmp_path / "whole", tiny_idx, *settings)
    signals = ("TERM", "INT", "KILL")
    codes = run_lives(tmp_path / "stopped", tiny_idx, *settings, stops=stops, seed=3, signals=signals)
    assert codes.count(INTERRUPTED) > 0
    assert codes.count(TERMINATED) > 0
    before_training = {-signal.SIGTERM, -signal.SIGINT}
    assert set(codes) <= {0, INTERRUPTED, TERMINATED, KILLED} | before_training, codes
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_finished_run_goes_on_in_another_cycle(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    common = [*TINY_RUN, *BUSY, f"data.root={tiny_idx}", "scheduler.warmup_steps=2", "output_dir=stopped"]
    results = []
    for settings in (
        ["scheduler=cosine", "trainer.max_epochs=2"],
        ["scheduler=cosine_restarts", "scheduler.cycles=[2,3]", "trainer.max_epochs=5", "resume=stopped"],
        ["scheduler=cosine_restarts", "scheduler.cycles=[2,3]", "trainer.max_epochs=5", "output_dir=whole"],
    ):
        done = script("train.py", *common, *settings)
        assert done.returncode == 0, done.stderr
        results.append(json.loads((tmp_path / "stopped/result.json").read_text()))
    # best.ckpt may be of the first cycle, whose last rate is noted in it.
    assert_same_run(tmp_path / "whole", tmp_path / "stopped", names=["last"])
    first, second, _ = results
    assert second["total_seconds"] > second["fit_seconds"] + first["fit_seconds"] / 2


def stop_after(*arguments: str) -> list[str]:
    return ["+callbacks.stop._target_=stop_after.StopAfter", *(f"+callbacks.stop.{a}" for a in arguments)]


def test_a_second_signal_ends_the_process_at_once(script: Script, tiny_idx: Path) -> None:
    stop = stop_after("steps=9", f"signal_number={int(signal.SIGTERM)}", "times=2")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", *stop)
    assert done.returncode == -signal.SIGTERM


def test_workers_begin_with_the_next_epoch_after_the_end_of_one(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=2", "num_threads=1"]
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    done = script("train.py", *settings, "output_dir=stopped", *stop_after("steps=7"))
    assert done.returncode == KILLED
    assert load(tmp_path / "stopped")["global_step"] == 7
    assert script("train.py", *settings, "output_dir=stopped", "resume=auto").returncode == 0
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_sigint_to_the_workers_too_ends_in_good_order(tmp_path: Path, tiny_idx: Path) -> None:
    """As a terminal's Ctrl-C."""
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "data.num_workers=2", "trainer.max_epochs=500"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *settings, "output_dir=run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2 of 500, step 2 "):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, errors
    assert errors.startswith("interrupted at step ")
    assert errors.endswith(" resume=run\n")
    assert errors.count("\n") == 1
    assert load(tmp_path / "run")["global_step"] > 8


def test_a_run_that_begins_anew_does_not_go_on_with_the_one_before(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    assert script("train.py", *settings, "seed=1").returncode == 0
    assert script("train.py", *settings, *stop_after("steps=3")).returncode == KILLED
    assert list((tmp_path / "run/checkpoints").iterdir()) == []
    assert not {"result.json", "curves.png", "confusion.png"} & {p.name for p in (tmp_path / "run").iterdir()}


def test_a_copied_run_keeps_its_own_best(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "copy")
    best = (tiny_run / "checkpoints/best.ckpt").read_bytes()
    state = load(tmp_path / "copy")
    state["callbacks"]["BestCheckpoint"]["score"] = 2.0
    torch.save(state, tmp_path / "copy/checkpoints/last.ckpt")
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=3", "resume=copy"]
    for folder in ("another", "copy"):
        done = script("train.py", *settings, f"output_dir={folder}")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / folder / "checkpoints/best.ckpt").read_bytes() == best


def test_auto_begins_then_goes_on_then_has_nothing_to_do(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "resume=auto", "trainer.max_steps=13"]
    done = script("train.py", *settings, *stop_after("steps=9"))
    assert done.returncode == KILLED
    assert load(tmp_path / "run")["global_step"] == 7
    done = script("train.py", *settings)
    assert done.returncode == 0, done.stderr
    assert "epoch 1 of 2" not in done.stdout
    written = (tmp_path / "run/result.json").stat().st_mtime_ns
    done = script("train.py", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run is already finished\n"
    assert (tmp_path / "run/result.json").stat().st_mtime_ns == written


def test_an_empty_result_is_none(script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run/result.json").write_text("")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "resume=auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 2


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_checkpoint_that_is_gone_back_to_becomes_the_last(
    script: Script, tmp_path: Path, tiny_idx: Path, is_damaged: bool
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", EVERY_STEP]
    assert script("train.py", *settings, *stop_after("steps=9")).returncode == KILLED
    last = tmp_path / "run/checkpoints/last.ckpt"
    if is_damaged:
        last.write_bytes(b"damaged")
    # Killed before it has written any
    again = [*settings, "resume=run/checkpoints/previous.ckpt", *stop_after("steps=8")]
    assert script("train.py", *again).returncode == KILLED
    assert load(tmp_path / "run")["global_step"] == load(tmp_path / "run", "previous")["global_step"] == 8
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert max(int(row["step"]) for row in rows) < 8
    if not is_damaged:  # from any other, what was the last is still there
        shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "run/checkpoints/mine.ckpt")
        assert script("train.py", *settings, "resume=run", *stop_after("steps=10")).returncode == KILLED
        ahead = load(tmp_path / "run")["global_step"]
        again = [*settings, "resume=run/checkpoints/mine.ckpt", *stop_after("steps=8")]
        assert script("train.py", *again).returncode == KILLED
        assert load(tmp_path / "run")["global_step"] == 8
        assert load(tmp_path / "run", "previous")["global_step"] == ahead > 8


def test_a_best_from_after_what_is_gone_back_to_is_forgotten(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    folder = tmp_path / "run/checkpoints"
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    assert script("train.py", *settings, "trainer.max_epochs=1").returncode == 0
    early = load(tmp_path / "run")
    early["callbacks"]["BestCheckpoint"]["score"] = 2.0  # out of reach
    assert script("train.py", *settings, "resume=run").returncode == 0
    torch.save(early, folder / "early.ckpt")
    shutil.copy(folder / "last.ckpt", folder / "best.ckpt")
    for where in ("another", "run"):  # the best is copied to another folder
        back = ["resume=run/checkpoints/early.ckpt", "seed=7", f"output_dir={where}"]
        assert script("train.py", *settings, *back).returncode == 0
        assert load(tmp_path / where, "best")["ImageDataModule"]["seed"] == 7
    (folder / "best.ckpt").write_bytes(b"damaged")
    done = script("train.py", *settings, "resume=run", "trainer.max_epochs=3")
    assert done.returncode == 0
    assert "the search for the best checkpoint starts over" in done.stdout
    assert load(tmp_path / "run", "best")["epoch"] == 2


def test_auto_needs_a_folder_that_it_finds_again(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "resume=auto")
    assert done.returncode == 2
    assert done.stderr.startswith("error: resume=auto: needs output_dir=<folder>; ")
    assert done.stderr.count("\n") == 1
    # One that is given is meant, whatever its name.
    where = "output_dir=outputs/2026-01-31/12-00-00"
    for epochs in (1, 2):
        settings = ["resume=auto", where, f"trainer.max_epochs={epochs}"]
        assert script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings).returncode == 0
    assert [path.name for path in (tmp_path / "outputs/2026-01-31").iterdir()] == ["12-00-00"]
    assert load(tmp_path / "outputs/2026-01-31/12-00-00")["epoch"] == 1


def test_a_run_without_checkpoints_leaves_earlier_ones_alone(
    script: Script, tmp_path: Path, tiny_run: Path, tiny_idx: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "callbacks=progress", "trainer.max_epochs=3"]
    for folder in ("run", "another"):
        done = script("train.py", *settings, "resume=run", f"output_dir={folder}")
        assert done.returncode == 0, done.stderr
        result = json.loads((tmp_path / folder / "result.json").read_text())
        assert (result["epochs"], result["checkpoint"]) == (3, None)
    assert differences(load(tmp_path / "run", "best"), load(tiny_run, "best")) == []
    assert not (tmp_path / "another/checkpoints/best.ckpt").exists()


def test_the_best_of_validations_after_every_step(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.val_check_interval=1"]
    assert script("train.py", *settings).returncode == 0
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    accuracies = {int(row["step"]): float(row["val/accuracy"]) for row in rows if row["val/accuracy"]}
    assert len(accuracies) == 14
    best = load(tmp_path / "run", "best")["callbacks"]["BestCheckpoint"]
    assert best["score"] == pytest.approx(max(accuracies.values()))


@pytest.mark.parametrize(
    ("end", "resume"),
    [("trainer.max_epochs=2", "run"), ("trainer.max_steps=14", "run/checkpoints/last.ckpt")],
)
def test_a_run_killed_after_its_last_epoch_is_measured_yet(
    script: Script, tmp_path: Path, tiny_idx: Path, end: str, resume: str
) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", "trainer.max_epochs=5", end]
    settings += ["trainer.max_time=00:10:00:00"]
    done = script("train.py", *settings, "+callbacks.stop._target_=stop_after.KillInTest")
    assert done.returncode == KILLED
    assert not (tmp_path / "run/result.json").exists()
    done = script("train.py", *settings, f"resume={resume}")
    assert done.returncode == 0, done.stderr
    assert "had already elapsed" not in done.stdout
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["epochs"] == 2
    assert None not in (result["train/accuracy"], result["val/accuracy"], result["test/accuracy"])
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows if row["val/accuracy"]] == ["0", "1"]


def test_checkpoints_by_minutes(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    often = "callbacks.checkpoint.every_n_minutes=0.00001"
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run", often]
    done = script("train.py", *settings, *stop_after("steps=4"))
    assert done.returncode == KILLED
    assert load(tmp_path / "run")["global_step"] == 4


def test_another_number_of_threads_is_warned_of(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "output_dir=run"]
    script("train.py", *settings, "num_threads=1", *stop_after("steps=9"))
    done = script("train.py", *settings, "num_threads=2", "resume=run")
    assert "the run so far used 1 threads and now uses 2" in done.stdout + done.stderr


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_memory_and_open_files_stay_the_same(fresh_script: Script, tmp_path: Path, tiny_idx: Path) -> None:
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

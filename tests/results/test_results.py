import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ROOT, TINY_RUN, wait_for

from mobilenet_lab.data.datasets.mnist import mnist
from mobilenet_lab.results.__main__ import main
from mobilenet_lab.results.recipes import RUNS, Recipe, Run
from mobilenet_lab.results.records import Record
from mobilenet_lab.results.runner import is_finished

SMALL = (
    "model.filters=1 model.stem_stride=2 trainer.max_epochs=1 trainer.limit_train_batches=3 "
    "data.val_split=250 logger=none"
)
WORKS = Recipe("works", "a short run", SMALL, num_seeds=3, ensemble=True, tta=True)
FAILS = Recipe("fails", "no such data", f"{SMALL} data=image_folder data.root=nowhere", num_seeds=1)


@pytest.fixture(autouse=True)
def empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str, recipes: Sequence[Recipe] = (WORKS, FAILS)) -> list[Record]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["results", *arguments])
        main(recipes)
    return json.loads(Path("docs/results.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.run
def test_only_missing_runs_are_started(tmp_path: Path) -> None:
    mnist(str(ROOT / "data")).prepare()
    (tmp_path / "data").symlink_to(ROOT / "data")
    runs = [Run(WORKS, seed) for seed in range(3)]
    records = call("works", "--jobs", "2")
    for run, record in zip(runs, records, strict=False):
        result = json.loads(run.folder.result.read_text())
        assert (record["recipe"], record["seed"]) == ("works", run.seed)
        assert record["test/accuracy"] == result["test/accuracy"]
        assert record["val/accuracy"] == result["val/accuracy"]
        assert record["weights"] == "best epoch by validation"
        assert 0 <= record["test/accuracy_tta"] <= 1
    assert records[3]["recipe"] == "works_ensemble"
    assert records[3]["seeds"] == [0, 1, 2]
    assert Path("docs/results.png").is_file()

    # A second call repeats nothing.
    assert all(is_finished(run) for run in runs)
    before = [run.folder.result.stat().st_mtime_ns for run in runs]
    assert call("works") == records
    assert [run.folder.result.stat().st_mtime_ns for run in runs] == before

    # A run with other settings is replaced, and so are its recipe's records.
    longer = Recipe("works", "a short run", f"{SMALL} trainer.max_epochs=2")
    run = Run(longer, 1)
    assert not is_finished(run)
    first = call("works", "--seeds", "1", recipes=[longer])
    assert [record["epochs"] for record in first] == [2]
    assert "resume" not in run.folder.train_log.read_text()

    # An interrupted run is resumed, and its time includes the epoch before.
    interrupt_after_one_epoch(run)
    resumed = call("works", "--seeds", "1", recipes=[longer])[0]
    assert resumed["minutes"] > json.loads(run.folder.result.read_text())["fit_seconds"] / 60
    assert resumed["test/accuracy"] == first[0]["test/accuracy"]

    # A run that lacks only its result is tested, but not trained again.
    run.folder.result.unlink()
    before_size = len(run.folder.train_log.read_text())
    assert call("works", "--seeds", "1", recipes=[longer])[0]["test/accuracy"] == resumed["test/accuracy"]
    log = run.folder.train_log.read_text()[before_size:]
    assert "test 0." in log
    assert "epoch 2/2" not in log


def interrupt_after_one_epoch(run: Run) -> None:
    """Leave the run's folder as if the run had been killed after the first of two epochs."""
    first_epoch = subprocess.run(
        [
            sys.executable,
            str(ROOT / "train.py"),
            *shlex.split(SMALL),
            "trainer.max_epochs=2",
            "seed=1",
            "output_dir=other",
            "callbacks.checkpoint.every_n_train_steps=1",
            "+callbacks.stop._target_=stop_after.StopAfter",
            "+callbacks.stop.steps=3",
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        check=False,
    )
    assert first_epoch.returncode == -signal.SIGKILL
    shutil.copy("other/checkpoints/last.ckpt", run.folder.last)
    run.folder.result.unlink()


@pytest.mark.run
def test_signal_stops_runs_with_a_checkpoint(tiny_idx: Path) -> None:
    overrides = shlex.join([*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=100000"])
    run = Run(Recipe("endless", "a long run", overrides), 0)
    program = (
        "from mobilenet_lab.results.__main__ import main\n"
        "from mobilenet_lab.results.recipes import Recipe\n"
        f"main([{run.recipe!r}])"
    )
    results = subprocess.Popen(
        [sys.executable, "-c", program, "--seeds", "0"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(run.folder.last.exists, 240)
        os.killpg(results.pid, signal.SIGTERM)  # as a terminal does
        assert results.wait(timeout=120) == 128 + signal.SIGTERM
    finally:
        results.kill()
    assert f"resume={run.folder}" in run.folder.train_log.read_text()
    assert run.folder.last.is_file()
    assert not run.folder.result.exists()


def test_second_call_at_the_same_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    RUNS.mkdir(parents=True)
    with (RUNS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit):
            call("works", "--no-runs")
    assert "another `make results` is running" in capsys.readouterr().err


@pytest.mark.run
def test_failed_run_is_reported_at_the_end() -> None:
    with pytest.raises(SystemExit, match="failed: outputs/results/fails/seed0"):
        call("fails")
    assert "nowhere" in Run(FAILS, 0).folder.train_log.read_text()
    assert Path("docs/results.md").is_file()


def test_unknown_recipe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("bets")
    assert "bets: no such recipe; choose from works, fails" in capsys.readouterr().err


def test_more_jobs_than_cores_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("works", "--jobs", "100000")
    assert "--jobs=100000: must be from 1 to " in capsys.readouterr().err

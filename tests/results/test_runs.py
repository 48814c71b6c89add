import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, wait_for

from mobilenet_lab.data.datasets.mnist import mnist
from mobilenet_lab.results import __main__ as results
from mobilenet_lab.results import runs
from mobilenet_lab.results.runs import Row, folder_of, is_done

SMALL = (
    "model.filters=1 model.stem_stride=2 trainer.max_epochs=1 trainer.limit_train_batches=3 "
    "data.val_split=250 logger=none"
)
WORKS = Row("works", "a short run", SMALL, num_seeds=3, ensemble=True, shifts=True)
FAILS = Row("fails", "no such images", f"{SMALL} data=image_folder data.root=nowhere", num_seeds=1)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results, "ROWS", (WORKS, FAILS))


def call(*arguments: str) -> list[dict[str, object]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["results", *arguments])
        results.main()
    return json.loads(Path("docs/results.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.slow
def test_runs_what_is_missing_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist(str(ROOT / "data")).prepare()
    (tmp_path / "data").symlink_to(ROOT / "data")
    record = call("works", "--jobs", "2")
    entries = [entry for entry in record if entry["row"] == "works"]
    assert [entry["seed"] for entry in entries] == [0, 1, 2]
    for entry in entries:
        result = json.loads((folder_of(WORKS, int(str(entry["seed"]))) / "result.json").read_text())
        assert entry["test/accuracy"] == result["test/accuracy"]
        assert entry["val/accuracy"] == result["val/accuracy"]
        assert entry["weights"] == "best epoch by validation"
        assert 0 <= entry["test/accuracy with shifts"] <= 1  # type: ignore[operator]
    together = next(entry for entry in record if entry["row"] == "works_ensemble")
    assert together["seeds"] == [0, 1, 2]
    assert Path("docs/results.png").is_file()

    # A second call repeats nothing; a changed recipe is run again.
    assert all(is_done(WORKS, seed) for seed in range(3))
    before = [(folder_of(WORKS, seed) / "result.json").stat().st_mtime_ns for seed in range(3)]
    assert call("works") == record
    assert [(folder_of(WORKS, seed) / "result.json").stat().st_mtime_ns for seed in range(3)] == before
    assert not is_done(Row("works", "", f"{SMALL} optimizer.lr=0.05"), 0)

    # An interrupted run goes on, or begins anew where its checkpoint is of another recipe.
    longer = Row("works", "a short run", f"{SMALL} trainer.max_epochs=2")
    monkeypatch.setattr(results, "ROWS", (longer,))
    folder = folder_of(longer, 1)
    (folder / "result.json").unlink()
    first = call("works", "--seeds", "1")
    assert [entry["epochs"] for entry in first] == [2]  # those of the other recipe are gone
    assert "resume" not in (folder / "train.log").read_text()
    cut_to_one_epoch(folder)
    resumed = call("works", "--seeds", "1")[0]
    seconds = json.loads((folder / "result.json").read_text())["fit_seconds"]
    assert resumed["minutes"] > seconds / 60  # the time of the first epoch counts, too
    assert resumed["test/accuracy"] == first[0]["test/accuracy"]
    (folder / "result.json").unlink()
    before = len((folder / "train.log").read_text())
    assert call("works", "--seeds", "1")[0]["test/accuracy"] == resumed["test/accuracy"]
    log = (folder / "train.log").read_text()[before:]
    assert "test 0." in log  # the result has been made up for,
    assert "epoch 2 of 2" not in log  # and no more


def cut_to_one_epoch(folder: Path) -> None:
    """Leave the folder as a run that was interrupted after the first of two epochs."""
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
    assert first_epoch.returncode == -9
    shutil.copy("other/checkpoints/last.ckpt", folder / "checkpoints/last.ckpt")
    (folder / "result.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_runs_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    mnist(str(ROOT / "data")).prepare()
    (tmp_path / "data").symlink_to(ROOT / "data")
    table = subprocess.Popen(
        [sys.executable, "-m", "mobilenet_lab.results", "two_epochs_025", "--seeds", "0"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    folder = Path("outputs/results/two_epochs_025/seed0")
    try:
        wait_for((folder / "hparams.yaml").exists, 240)
        time.sleep(5)  # the first steps begin
        os.killpg(table.pid, number)  # as a terminal sends it
        assert table.wait(timeout=120) == 128 + number
    finally:
        table.kill()
    assert f"resume={folder}" in (folder / "train.log").read_text()
    assert (folder / "checkpoints/last.ckpt").is_file()


def test_a_second_call_at_the_same_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    runs.RUNS.mkdir(parents=True)
    with (runs.RUNS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit):
            call("works", "--no-runs")
    assert "another make results is at work there" in capsys.readouterr().err


def test_a_run_that_fails_is_named_at_the_end() -> None:
    with pytest.raises(SystemExit, match="failed: outputs/results/fails/seed0"):
        call("fails")
    assert "nowhere" in (folder_of(FAILS, 0) / "train.log").read_text()
    assert Path("docs/results.md").is_file()


def test_unknown_rows_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("bets")
    assert "bets: must be one of works, fails" in capsys.readouterr().err

"""Sweeps whose jobs are processes."""

import csv
from pathlib import Path

import pytest
from conftest import TINY_RUN, Script
from reports_under_test import Page
from runs_under_test import result_of, stop_after

from mobilenet_lab.sweeps.process_launcher import Job, job_returns

FAST = ("trainer.max_epochs=1", "trainer.limit_test_batches=0", "logger=none")


def jobs_of(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("outputs/multirun/*/*/*/result.json"))


def test_failed_job_does_not_stop_the_others_but_fails_the_sweep(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, *FAST, f"data.root={tiny_idx}")
    done = script("train.py", "-m", *settings, "data.batch_size=5000,16,1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: jobs of the sweep failed: 0 (exit code 2), 2 (exit code 2)"
    # Job 0 fails when its data is opened, job 2 before it starts.
    assert "error: data.batch_size=5000: " in done.stderr
    assert "error: data.batch_size=1: must be " in done.stderr
    (job,) = jobs_of(tmp_path)
    assert job.name == "1"
    assert f"report    {job.parent / 'report.html'}" in done.stdout.replace(
        "outputs/", f"{tmp_path}/outputs/"
    )
    page = Page(job.parent / "report.html")
    assert page.headings == ["Jobs", "Accuracy over MACs", "Failed jobs", "Command"]
    failures = [row for row in page.rows if len(row) == 3][1:]
    assert [row[:2] for row in failures] == [["0", "data.batch_size=5000"], ["2", "data.batch_size=1"]]
    assert failures[0][2].startswith("data.batch_size=5000: ")
    assert failures[1][2].startswith("data.batch_size=1: must be ")
    assert [href for href in page.attributes("href") if href.endswith(".html")] == ["./1/report.html"]


def test_bug_and_signal_of_a_job_are_in_the_report_until_the_job_succeeds(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, *FAST, f"data.root={tiny_idx}", "hydra.sweep.dir=sweep")
    # 999 is not a signal, so that the callback fails.
    done = script("train.py", "-m", *settings, *stop_after("steps=0", "signal_number=999,9"))
    assert done.returncode == 2
    failures = [row for row in Page(tmp_path / "sweep/report.html").rows if len(row) == 3][1:]
    assert failures == [
        ["0", "+callbacks.stop.signal_number=999", "OSError: [Errno 22] Invalid argument"],
        ["1", "+callbacks.stop.signal_number=9", "ended by signal 9 (Killed)"],
    ]
    done = script("train.py", "-m", *settings, "overwrite=true")
    assert done.returncode == 0, done.stderr
    page = Page(tmp_path / "sweep/report.html")
    assert [row[0] for row in page.rows if len(row) == 3] == ["job", "1"]


def test_sweep_runs_each_job_in_its_own_folder_and_writes_one_table(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    (tmp_path / "my data, v2").symlink_to(tiny_idx)
    (tmp_path / "mine/optimizer").mkdir(parents=True)
    (tmp_path / "mine/optimizer/mine.yaml").write_text("defaults:\n  - adamw\n")
    settings = (*TINY_RUN[:-1], "data.root=my data, v2", "trainer.max_epochs=1", "seed=${trainer.max_epochs}")
    options = ("-m", "--config-dir=mine")  # between the settings
    done = script("train.py", *settings, *options, "model.filters=1,2", "optimizer=sgd,mine")
    assert done.returncode == 0, done.stderr
    jobs = jobs_of(tmp_path)
    assert [job.name for job in jobs] == ["0", "1", "2", "3"]
    names = {path.name for path in (tmp_path / "outputs").iterdir()}
    assert {name for name in names if not name.startswith(".")} == {"latest", "multirun"}
    # A job gets its resolved configuration.
    assert "seed: 1\n" in (jobs[3] / "config.yaml").read_text()
    command = result_of(jobs[3])["command"]
    assert command.startswith("python train.py --config-dir=mine ")
    assert " 'data.root=my data, v2' " in command
    assert "model.filters=2" in command
    assert command.endswith(f"output_dir={jobs[3].relative_to(tmp_path)}")
    (table,) = tmp_path.glob("outputs/multirun/*/*/results.csv")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["model.filters"] for row in rows] == ["1", "1", "2", "2"]
    assert [row["optimizer._target_"] for row in rows] == ["torch.optim.SGD", "torch.optim.AdamW"] * 2
    assert len({row["parameters"] for row in rows}) == 2
    for row in rows:
        assert float(row["test/accuracy"]) == result_of(table.parent / row["job"])["test/accuracy"]


def test_sweep_refuses_an_output_dir(script: Script, tiny_idx: Path) -> None:
    done = script("train.py", "-m", "output_dir=mine", "model.filters=1,2")
    assert done.returncode == 2
    assert (
        "error: output_dir: a sweep numbers its run folders; use hydra.sweep.dir=<folder> instead"
        in done.stderr
    )


@pytest.mark.parametrize(("filters", "code"), [("0,2000", 2), ("1", 0)])
def test_sweep_under_a_launcher_with_worker_processes_fails_if_its_jobs_fail(
    script: Script, tmp_path: Path, tiny_idx: Path, filters: str, code: int
) -> None:
    settings = (*TINY_RUN, *FAST, f"data.root={tiny_idx}")
    done = script("train.py", "-m", "hydra/launcher=worker_process", *settings, f"model.filters={filters}")
    assert done.returncode == code, done.stderr
    assert len(jobs_of(tmp_path)) == (0 if code else 1)
    if code:
        assert "error: model.filters=0: must be " in done.stderr
    else:
        (job,) = jobs_of(tmp_path)
        accuracy = result_of(job)["val/accuracy"]
        assert f"objective of job 0: {accuracy}" in done.stdout


def test_value_of_a_job_is_its_objective() -> None:
    failed, succeeded = job_returns([Job(0, ["a=1"], 2), Job(1, ["a=2"], 0, 0.75)])
    assert succeeded.return_value == 0.75
    with pytest.raises(ValueError, match=r"jobs of the sweep failed: 0 \(exit code 2\)"):
        _ = failed.return_value

import os
from pathlib import Path

import pytest

from mobilenet_lab.runs.folder import LATEST, RunFolder
from mobilenet_lab.runs.latest import latest_symlink
from mobilenet_lab.runs.run_path import run_path


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_with_checkpoint(name: str) -> RunFolder:
    run = RunFolder(Path(name))
    run.checkpoints.mkdir(parents=True)
    run.last.touch()
    return run


def test_link_survives_a_run_that_leaves_only_foreign_checkpoints() -> None:
    with latest_symlink(run_with_checkpoint("one")):
        pass
    other = RunFolder(Path("other"))
    other.checkpoints.mkdir(parents=True)
    (other.checkpoints / "mine.ckpt").touch()
    with latest_symlink(other):
        assert run_path(LATEST) == other.path.resolve()
    assert run_path(LATEST) == Path("one").resolve()


def test_link_in_a_linked_folder_points_to_the_run() -> None:
    Path("disk/deep/outputs").mkdir(parents=True)
    Path("outputs").symlink_to("disk/deep/outputs")
    run = run_with_checkpoint("run")
    Path(f"outputs/.latest-{os.getpid()}.tmp").touch()  # a run with the same process id was killed here
    with latest_symlink(run):
        pass
    assert run_path(LATEST) == run.path.resolve()
    assert (LATEST / "checkpoints/last.ckpt").resolve() == run.last.resolve()
    assert {path.name for path in Path("outputs").iterdir()} == {"latest", LATEST.readlink().name}


def test_link_that_forms_a_loop_is_replaced() -> None:
    Path("outputs").mkdir()
    LATEST.symlink_to("latest")
    with latest_symlink(run_with_checkpoint("run")):
        pass
    assert run_path(LATEST) == Path("run").resolve()


def test_link_shows_the_members_of_the_newest_run_but_no_event_files() -> None:
    for name in ("one", "two"):
        run = run_with_checkpoint(name)
        (run.path / "events.out.tfevents.1").touch()
        with latest_symlink(run):
            run.metrics.touch()
        run.result.write_text(name)  # after the training
    assert (LATEST / "result.json").read_text() == "two"
    assert {path.name for path in LATEST.iterdir() if path.exists()} == {
        "checkpoints",
        "metrics.csv",
        "result.json",
    }
    assert [path for path in Path("outputs").rglob("*tfevents*") if path.is_file()] == []
    assert {path.name for path in Path("outputs").iterdir()} == {"latest", LATEST.readlink().name}


def test_paths_below_the_link_are_paths_of_the_run() -> None:
    run = run_with_checkpoint("runs/one")
    with latest_symlink(run):
        pass
    for below in ("", "checkpoints", "checkpoints/last.ckpt", "report.html", "new/file"):
        assert run_path(LATEST / below) == run.path.resolve() / below


def test_link_that_cannot_be_written_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    Path("outputs").touch()  # root could write to a folder without permission
    with latest_symlink(RunFolder(Path("run"))):
        pass
    assert [record.message for record in caplog.records] == [
        "the link outputs/latest is not updated: File exists"
    ]

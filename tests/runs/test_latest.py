import os
from pathlib import Path

import pytest

from mobilenet_lab.runs.folder import LATEST, RunFolder
from mobilenet_lab.runs.latest import latest_symlink


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
        assert LATEST.readlink() == Path("../other")
    assert LATEST.readlink() == Path("../one")


def test_link_in_a_linked_folder_points_to_the_run() -> None:
    Path("disk/deep/outputs").mkdir(parents=True)
    Path("outputs").symlink_to("disk/deep/outputs")
    run = run_with_checkpoint("run")
    Path(f"outputs/.latest-{os.getpid()}").touch()  # a run with the same process id was killed here
    with latest_symlink(run):
        pass
    assert LATEST.resolve() == run.path.resolve()
    assert [path.name for path in Path("outputs").iterdir()] == ["latest"]


def test_link_that_forms_a_loop_is_replaced() -> None:
    Path("outputs").mkdir()
    LATEST.symlink_to("latest")
    with latest_symlink(run_with_checkpoint("run")):
        pass
    assert LATEST.readlink() == Path("../run")


def test_link_that_cannot_be_written_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    Path("outputs").touch()  # root could write to a folder without permission
    with latest_symlink(RunFolder(Path("run"))):
        pass
    assert [record.message for record in caplog.records] == [
        "the link outputs/latest is not updated: File exists"
    ]

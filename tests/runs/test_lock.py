import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import wait_for

from mobilenet_lab.runs.lock import folder_lock
from mobilenet_lab.runtime.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12


def forked(action: Callable[[], object]) -> int:
    """Run an action in a forked process and return its id."""
    if process := os.fork():
        return process
    try:
        action()
        os._exit(0)
    except BaseException:
        os._exit(1)


def test_second_process_is_refused_with_the_id_of_the_first(tmp_path: Path) -> None:
    lock, report = tmp_path / ".lock", tmp_path / "report"

    def try_lock() -> None:
        with pytest.raises(InputError) as refused, folder_lock(lock, "output_dir=run"):
            pass
        report.write_text(str(refused.value))

    with folder_lock(lock, "output_dir=run"):
        assert os.waitpid(forked(try_lock), 0)[1] == 0
        assert lock.is_file()
    message = report.read_text()
    assert message.startswith(f"output_dir=run: process {os.getpid()} on ")
    assert "is writing to this folder; wait until it ends, stop it, or use another folder" in message
    assert not lock.exists()


def test_killed_process_leaves_no_lock_even_if_its_workers_live(tmp_path: Path) -> None:
    lock, worker_id = tmp_path / ".lock", tmp_path / "worker"

    def hold() -> None:
        with folder_lock(lock, "output_dir=run"):
            worker = forked(lambda: time.sleep(60))  # inherits all open files
            worker_id.with_suffix(".tmp").write_text(str(worker))
            worker_id.with_suffix(".tmp").rename(worker_id)
            time.sleep(60)

    holder = forked(hold)
    wait_for(worker_id.is_file, 10)
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    try:
        os.kill(int(worker_id.read_text()), 0)  # it is alive
        assert lock.is_file()
        with folder_lock(lock, "output_dir=run"):
            assert lock.read_text().startswith(f"{os.getpid()} ")
    finally:
        os.kill(int(worker_id.read_text()), signal.SIGKILL)


def test_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with folder_lock(tmp_path / ".lock", "output_dir=run"):
        pass
    assert [record.message for record in caplog.records] == [
        "output_dir=run: the file system has no locks; make sure that no other run writes to this folder"
    ]


def test_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    message = "output_dir=x: cannot write to the folder: No such file or directory"
    with pytest.raises(InputError, match=message), folder_lock(tmp_path / "x/.lock", "output_dir=x"):
        pass

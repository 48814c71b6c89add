"""A process ends after a signal, whatever its main thread waits for."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from conftest import wait_for

from mobilenet_lab.runtime import signal_deadline
from mobilenet_lab.runtime.signal_deadline import SignalDeadline


@pytest.fixture(autouse=True)
def handled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handle SIGTERM without an effect, as a run does that waits for the end of a step."""
    monkeypatch.setattr(signal_deadline, "POLL_S", 0.02)
    monkeypatch.setattr(signal_deadline, "STUCK_S", 0.3)
    monkeypatch.setattr(signal_deadline, "SECOND_S", 0.1)
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield
    signal.signal(signal.SIGTERM, before)


def ended_after(times: int, progress: bool, seconds: float) -> list[tuple[str, int]]:
    """Send signals to a main thread that seems to be stuck; return how the process would have ended."""
    ends: list[tuple[str, int]] = []
    is_over = threading.Event()

    def end(message: str, code: int) -> None:
        ends.append((message, code))
        is_over.wait()

    with SignalDeadline(end) as deadline:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not ends:
            time.sleep(0.05)
            if progress:
                deadline.note_progress()
    is_over.set()
    return ends


def watching() -> bool:
    return any(thread.name == "signals" for thread in threading.enumerate())


def test_process_without_progress_after_a_signal_ends() -> None:
    message = "terminated, but the current step did not end"
    assert ended_after(1, progress=False, seconds=5) == [(message, 143)]


def test_process_with_progress_is_left_to_end_by_itself() -> None:
    assert ended_after(1, progress=True, seconds=0.6) == []
    assert ended_after(0, progress=False, seconds=0.6) == []


def test_second_signal_ends_a_stuck_process_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_deadline, "STUCK_S", 60.0)
    assert len(ended_after(2, progress=False, seconds=5)) == 1


def test_watching_leaves_no_trace() -> None:
    wait_for(lambda: not watching(), 5)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        assert ended_after(1, progress=True, seconds=0.05) == []
    wait_for(lambda: not watching(), 5)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert signal.set_wakeup_fd(-1) == -1


def test_forwarded_signal_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchrun or sweep forwards the signal that the process has received already."""
    monkeypatch.setattr(signal_deadline, "STUCK_S", 5.0)
    assert ended_after(times=2, progress=False, seconds=0.5)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    assert not ended_after(times=2, progress=False, seconds=0.5)

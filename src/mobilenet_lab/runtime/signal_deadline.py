"""End a process that cannot answer a signal.

Python runs signal handlers in the main thread and between two instructions. A main thread that waits in C, as
for another rank in a collective operation, never gets there, and a handler that waits for the end of a step
waits as long as the step does.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from mobilenet_lab.runtime.errors import EXIT_CODES, WORDS
from mobilenet_lab.runtime.stop_request import is_echo

POLL_S = 0.5
STUCK_S = 30.0  # without progress after a signal
SLOW_FACTOR = 4.0  # and longer than this many of the slowest steps so far
OVER = 0  # the number of no signal
SECOND_S = 8.0  # after a second signal, which handlers answer at once, or after the wait for a worker


class SignalDeadline:
    """Ends the process after SIGINT or SIGTERM if it makes no more progress.

    It is a context manager for the main thread, and does nothing in other threads.

    Args:
        end: Ends the process; called with a message and an exit code, in a thread of its own.
    """

    def __init__(self, end: Callable[[str, int], None]) -> None:
        self._end = end
        self._progress_at = time.monotonic()
        self._slowest = 0.0  # seconds from one step to the next
        self._has_stepped = False
        self._ends: tuple[int, int] | None = None
        self._before = -1

    def note_progress(self) -> None:
        """Note that the process has finished a step."""
        now = time.monotonic()
        if self._has_stepped:  # the first step comes after the start of ranks and workers
            self._slowest = max(self._slowest, now - self._progress_at)
        self._progress_at, self._has_stepped = now, True

    def __enter__(self) -> Self:
        """Start watching."""
        if threading.current_thread() is not threading.main_thread():
            return self
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)
        # The interpreter's C code writes the number of each signal that has a handler.
        self._before = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        self._progress_at, self._slowest, self._has_stepped = time.monotonic(), 0.0, False
        threading.Thread(target=self._watch, args=(self._ends[0],), daemon=True, name="signals").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        if self._ends is not None:
            signal.set_wakeup_fd(self._before)
            os.write(self._ends[1], bytes([OVER]))
            os.close(self._ends[1])  # the thread closes the other end
            self._ends = None

    def _watch(self, signals: int) -> None:
        code, received_at, times = 0, 0.0, 0
        while True:
            if select.select([signals], [], [], POLL_S if code else None)[0]:
                numbers = os.read(signals, 64)
                if OVER in numbers:
                    os.close(signals)
                    return
                for number in numbers:
                    if number in EXIT_CODES and not (code and is_echo(time.monotonic() - received_at)):
                        code, times = EXIT_CODES[signal.Signals(number)], times + 1
                        received_at = time.monotonic()
            if code and self._is_late(received_at, times):
                self._end(f"{WORDS[code]}, but the current step did not end", code)

    def _is_late(self, received_at: float, times: int) -> bool:
        now = time.monotonic()
        if times > 1 and now - received_at > SECOND_S and now - self._progress_at > SECOND_S:
            return True
        limit = max(STUCK_S, SLOW_FACTOR * self._slowest)
        return now - max(received_at, self._progress_at) > limit

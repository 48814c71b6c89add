"""End all ranks of a run when one of them dies or does not answer."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.environment import STARTED_BY
from mobilenet_lab.runtime.errors import EXIT_WRONG_INPUT, WORDS, RunInterrupted
from mobilenet_lab.runtime.invocation import resume_command
from mobilenet_lab.runtime.lightning_internals import rank_observer, set_collective_timeout
from mobilenet_lab.runtime.machine import is_stopped
from mobilenet_lab.runtime.signal_deadline import SignalDeadline

POLL_S = 0.5  # between polls of the other processes
LOOK_S = 5.0  # time to find out which process died after a lost connection
PRINT_S = 1.0  # time to print an error
AGREED_END_S = 30.0  # ranks that have agreed to stop get this long to end


class RankWatchdog(Callback):
    """Ends all ranks of this machine, with a one-line message, when one of them dies or loses its peers.

    The same happens when a rank does not answer for a time: the process group gives up a collective
    operation, and every process looks whether the ones it watches have been stopped. It also ends a process
    that does not answer a signal.

    It is a callback and a context manager, which is entered while ranks may run. Rank 0 watches the ranks it
    has started. Every rank that was started, by rank 0 or by torchrun, watches its parent. Neither uses the
    network, so ranks that hang in a collective operation end as well. A rank that has lost its peers cannot
    even shut down cleanly, so it exits at once.

    Args:
        folder: The run folder, to say how to resume.
        timeout: Seconds that a rank may stay without an answer.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        self._run = RunFolder(folder)
        self.timeout = timeout
        self._stopped_polls: dict[int, int] = {}  # by process id
        self._deadline = SignalDeadline(self.end)
        self._children: list[subprocess.Popen[Any]] = []
        self._parent: int | None = None
        self._by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
        self._over = threading.Event()
        self._leaving = threading.Lock()
        self._patches = ExitStack()

    def __enter__(self) -> None:
        """Start watching."""
        self._patches.enter_context(self._deadline)
        self._patches.enter_context(rank_observer(self._watch_children))
        if STARTED_BY in os.environ or self._by_torchrun:
            self._parent = int(os.environ.get(STARTED_BY, os.getppid()))
            self._start(self._look_at_parent)
        else:
            os.environ[STARTED_BY] = str(os.getpid())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the ranks that this one has started, or kill them after an error."""
        if error is not None and _lost_connection(error):
            self._leave(str(error))
        self._over.set()
        self._patches.close()
        os.environ.pop(STARTED_BY, None)
        agreed = error is None or isinstance(error, (RunInterrupted, SystemExit, KeyboardInterrupt))
        if agreed and distributed.is_initialized():
            # Otherwise gloo's threads outlive the interpreter, and may abort the process.
            distributed.destroy_process_group()
        for child in self._children:
            try:
                child.wait(AGREED_END_S if agreed else 0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Limit the time of collective operations; Lightning has connected the ranks by now."""
        if distributed.is_initialized():
            set_collective_timeout(self.timeout)

    def on_train_batch_end(self, *_: Any) -> None:
        """Note progress."""
        self._deadline.note_progress()

    def on_validation_batch_end(self, *_: Any) -> None:
        """Note progress."""
        self._deadline.note_progress()

    def on_test_batch_end(self, *_: Any) -> None:
        """Note progress."""
        self._deadline.note_progress()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Exit before Lightning's clean shutdown, which may wait for the other ranks."""
        if _lost_connection(exception):
            self._leave(str(exception))

    def _start(self, look: Callable[[], None]) -> None:
        threading.Thread(target=look, daemon=True, name="ranks").start()

    def _watch_children(self, child_processes: list[subprocess.Popen[Any]]) -> None:
        self._children = child_processes
        self._start(self._look_at_children)

    def _look_at_children(self) -> None:
        while not self._over.wait(POLL_S):
            codes = {child.poll() for child in self._children} - {None, 0, *WORDS}
            for child in self._children:
                self._look_whether_stopped(child.pid, self._rank_of(child))
            # Ranks that have all met the same error end one after the other.
            if codes and not (codes == {EXIT_WRONG_INPUT} and self._over.wait(LOOK_S)):
                self._leave()

    def _look_at_parent(self) -> None:
        while not self._over.wait(POLL_S):
            if self._parent_is_gone():
                self._leave()
            if self._parent is not None and not self._by_torchrun:
                self._look_whether_stopped(self._parent, 0)

    def _look_whether_stopped(self, pid: int, rank: int) -> None:
        """End the ranks if one has been stopped for too long, not counting when this one was, too."""
        polls = self._stopped_polls[pid] = self._stopped_polls.get(pid, 0) + 1 if is_stopped(pid) else 0
        if polls * POLL_S > self.timeout:
            self.end(f"rank {rank} has been stopped for rank_timeout={self.timeout:g} s; see SIGSTOP", 1)

    def _rank_of(self, child: "subprocess.Popen[Any]") -> int:
        first = int(os.environ.get("NODE_RANK", 0)) * (len(self._children) + 1)
        return first + 1 + self._children.index(child)

    def _parent_is_gone(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent

    def _leave(self, reason: str = "") -> None:
        """Print what happened, unless another rank does, and end the ranks of this machine."""
        self._leaving.acquire()  # never released: a second thread waits for the end
        looked_until = time.monotonic() + (0 if self._by_torchrun else LOOK_S)
        while not (gone := self._who_is_gone()) and time.monotonic() < looked_until:
            time.sleep(0.1)
        rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK"))
        message, code = gone or (f"rank {rank} lost its peers: {_first_line(reason)}", 1)
        self._end(message, code)

    def end(self, message: str, code: int) -> None:
        """Print an error and end the ranks of this machine, from any thread."""
        self._leaving.acquire()  # never released: a second thread waits for the end
        self._end(message, code)

    def _end(self, message: str, code: int) -> None:
        for child in self._children:
            child.kill()
            child.wait()
        for worker in multiprocessing.active_children():  # one that hangs would not see the end
            worker.kill()
        # A terminal whose output is stopped would hold up the end.
        printing = threading.Thread(target=self._print, args=(message,), daemon=True)
        printing.start()
        printing.join(PRINT_S)
        os._exit(code)

    def _print(self, message: str) -> None:
        if message:
            resume = f"resume with {resume_command(self._run.path)}"
            hint = resume if self._run.last.is_file() else "there is no checkpoint yet"
            print(f"error: {message}; {hint}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()

    def _who_is_gone(self) -> tuple[str, int] | None:
        """Return a message, empty if the rank has printed its own, and the exit code; None if all run."""
        if self._parent_is_gone():
            who = "torchrun" if self._by_torchrun else "rank 0"
            return f"{who} is gone; it may have been killed", 1
        for child in self._children:
            rank = self._rank_of(child)
            code = child.poll()
            if code is not None and code < 0:
                return f"rank {rank} was killed by {signal.Signals(-code).name}", 1
            if code:
                return f"rank {rank} was {WORDS[code]}" if code in WORDS else "", code
            if is_stopped(child.pid):
                return f"rank {rank} is stopped and did not answer for rank_timeout={self.timeout:g} s", 1
        return None


def _lost_connection(error: BaseException) -> bool:
    # Errors of gloo have no class of their own.
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _first_line(reason: str) -> str:
    """Return the first sentence of gloo's message, without the source file before it."""
    return reason.strip().split("\n")[0].rpartition("] ")[2].split(". ")[0]

"""Several ranks train one network only if they agree on what that is, and end together when one is lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import subprocess_script
from torch import distributed

from mobilenet_lab.runs.folder import LAST
from mobilenet_lab.runtime.environment import STARTED_BY
from mobilenet_lab.runtime.errors import EXIT_WRONG_INPUT, WORDS, RunInterrupted
from mobilenet_lab.runtime.invocation import resume_command

POLL_S = 0.5


# How long a rank that has lost a connection looks who is gone, and how long those that end as agreed may take
LOOK_S, AGREED_END_S = 5.0, 30.0


class RankWatchdog(Callback):
    """Ends all ranks of this machine, with one line, when one of them dies or loses the others.

    As a context it holds while ranks may run: the first rank watches those that it has started, and every
    rank that was started, by it or by torchrun, watches who started it. Neither waits for the network, so
    ranks that hang in a collective end, too. A rank that has lost the others can do nothing more, not even
    shut down in order, so it leaves at once.

    Args:
        folder: The run's, to say how to go on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[Any]] = []
        self._parent: int | None = None
        self._by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
        self._over = threading.Event()
        self._leaving = threading.Lock()

    def __enter__(self) -> None:
        """Begin to watch."""
        # Lightning's own looks every five seconds, and ends all without a word, the first rank included.
        subprocess_script._launch_process_observer = self._watch_children  # type: ignore[attr-defined]
        if STARTED_BY in os.environ or self._by_torchrun:
            self._parent = int(os.environ.get(STARTED_BY, os.getppid()))
            self._start(self._look_at_parent)
        else:
            os.environ[STARTED_BY] = str(os.getpid())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the ranks that were started; after an error of this one, end them."""
        if error is not None and _lost_connection(error):
            self._leave(str(error))
        self._over.set()
        os.environ.pop(STARTED_BY, None)
        agreed = error is None or isinstance(error, (RunInterrupted, SystemExit, KeyboardInterrupt))
        if agreed and distributed.is_initialized():
            # Gloo's threads would still be there when Python is taken down, and may then abort the process.
            distributed.destroy_process_group()
        for child in self._children:
            try:
                child.wait(AGREED_END_S if agreed else 0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave before Lightning shuts down in order, which may wait for the others."""
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
            # Ranks that have agreed on an error end one after the other.
            if codes and not (codes == {EXIT_WRONG_INPUT} and self._over.wait(LOOK_S)):
                self._leave()

    def _look_at_parent(self) -> None:
        while not self._over.wait(POLL_S):
            if self._parent_is_gone():
                self._leave()

    def _parent_is_gone(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent

    def _leave(self, reason: str = "") -> None:
        """Say what happened unless another rank does, and end the ranks of this machine."""
        self._leaving.acquire()  # never released: whoever comes second waits for the end
        looked_until = time.monotonic() + (0 if self._by_torchrun else LOOK_S)
        while not (gone := self._who_is_gone()) and time.monotonic() < looked_until:
            time.sleep(0.1)
        rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK"))
        message, code = gone or (f"rank {rank} has lost the others: {_first_line(reason)}", 1)
        if message:
            has_checkpoint = (self._folder / "checkpoints" / LAST).is_file()
            hint = f"go on with {resume_command(self._folder)}" if has_checkpoint else "no checkpoint yet"
            print(f"error: {message}; {hint}", file=sys.stderr)
        for child in self._children:
            child.kill()
            child.wait()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _who_is_gone(self) -> tuple[str, int] | None:
        """What to say, and the exit code; nothing to say of a rank that has said itself why it ended."""
        if self._parent_is_gone():
            who = "torchrun" if self._by_torchrun else "rank 0"
            return f"{who} is gone, was it killed?", 1
        first = int(os.environ.get("NODE_RANK", 0)) * (len(self._children) + 1)
        for rank, child in enumerate(self._children, start=first + 1):
            code = child.poll()
            if code is not None and code < 0:
                return f"rank {rank} was killed by {signal.Signals(-code).name}", 1
            if code:
                return f"rank {rank} was {WORDS[code]}" if code in WORDS else "", code
        return None


def _lost_connection(error: BaseException) -> bool:
    # gloo's errors have no class of their own.
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _first_line(reason: str) -> str:
    """Without the source file that gloo's messages begin with, and their advice."""
    return reason.strip().split("\n")[0].rpartition("] ")[2].split(". ")[0]

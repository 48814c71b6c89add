"""Run a child process that receives the signals of its parent."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED

# The child has no terminal, so it is terminated when the terminal of its parent closes.
FORWARDED_AS: dict[int, int] = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
}


class SignalForwarder:
    """Forwards signals to a child process, including those that arrive before it has started.

    Attributes:
        received: The signals so far.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Forward a signal; a handler for `signal.signal`."""
        self.received.append(number)
        if self._child is not None:
            self._child.send_signal(FORWARDED_AS[number])

    def start(self, child: subprocess.Popen[bytes]) -> None:
        """Forward to this child from now on, beginning with the signals received so far."""
        self._child = child
        for number in list(self.received):
            child.send_signal(FORWARDED_AS[number])


def run_forwarding_signals(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a child process, forward every signal to it, and let it end in its own time.

    Args:
        command: Program and arguments.
        environment: Variables added to those of this process.

    Returns:
        The exit code of the child.

    Raises:
        KeyboardInterrupt: SIGINT was received; the child has ended.
        SystemExit: SIGTERM or SIGHUP was received; the child has ended.
    """
    forwarder = SignalForwarder()
    with _handlers(forwarder):
        child = subprocess.Popen(
            command,
            # In the session of the terminal, Ctrl-C would reach the child twice, and the second one kills it.
            start_new_session=True,
            env=os.environ | {SIGNALS_FORWARDED: "1"} | dict(environment),
        )
        forwarder.start(child)
        code = child.wait()
    if signal.SIGINT in forwarder.received:
        raise KeyboardInterrupt
    if forwarder.received:
        raise SystemExit(128 + forwarder.received[0])
    return code


@contextmanager
def _handlers(forwarder: SignalForwarder) -> Iterator[None]:
    """Install the handlers, except for signals that this process ignores."""
    before = {
        number: signal.signal(number, forwarder.handle)
        for number in FORWARDED_AS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

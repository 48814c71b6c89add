"""A signal that asked this process to stop, for code that waits and cannot tell for how long."""

import time

from mobilenet_lab.runtime.errors import WORDS, RunInterrupted

PATIENCE_S = 5.0  # what is waited for may still come

_request: tuple[int, float] | None = None  # exit code and time of the signal


def request_stop(exit_code: int) -> None:
    """Note a signal; the caller also acts on it, at the end of the current step."""
    global _request
    _request = (exit_code, time.monotonic())


def withdraw_request() -> None:
    """Forget the signal."""
    global _request
    _request = None


def raise_if_requested(waiting_for: str) -> None:
    """End a wait that has gone on for some seconds after a signal.

    Raises:
        RunInterrupted: There was a signal.
    """
    if _request is not None and time.monotonic() - _request[1] > PATIENCE_S:
        raise RunInterrupted(f"{WORDS[_request[0]]} while waiting for {waiting_for}", _request[0])

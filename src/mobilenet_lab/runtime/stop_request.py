"""A signal that asked this process to stop, for code that waits and cannot tell for how long."""

import os
import time

from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED
from mobilenet_lab.runtime.errors import WORDS, RunInterrupted

PATIENCE_S = 5.0  # what is waited for may still come
ECHO_S = 2.0  # torchrun or a sweep forwards a signal within this time

_request: tuple[int, float] | None = None  # exit code and time of the signal


def is_echo(seconds: float) -> bool:
    """Return whether a signal is the same as the one before it.

    A cluster may signal every process of a job, and torchrun and sweeps forward the signal again.

    Args:
        seconds: Time since the signal before it.
    """
    is_forwarded = "TORCHELASTIC_RUN_ID" in os.environ or SIGNALS_FORWARDED in os.environ
    return is_forwarded and seconds < ECHO_S


def request_stop(exit_code: int) -> None:
    """Note a signal; the caller also acts on it, at the end of the current step."""
    global _request
    _request = (exit_code, time.monotonic())


def withdraw_request() -> None:
    """Forget the signal."""
    global _request
    _request = None


def raise_if_requested(waiting_for: str) -> None:
    """End a wait that has lasted some seconds after a signal.

    Raises:
        RunInterrupted: There was a signal.
    """
    if _request is not None and time.monotonic() - _request[1] > PATIENCE_S:
        raise RunInterrupted(f"{WORDS[_request[0]]} while waiting for {waiting_for}", _request[0])

import os
import signal

import pytest

from mobilenet_lab.callbacks.signals import StopOnSignal
from mobilenet_lab.runtime.environment import SIGNALS_FORWARDED
from mobilenet_lab.runtime.stop_request import ECHO_S


def test_forwarded_signal_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append(number))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    for variable in ("TORCHELASTIC_RUN_ID", SIGNALS_FORWARDED, None):
        with monkeypatch.context() as context:
            if variable is not None:
                context.setenv(variable, "1")
            stop = StopOnSignal()
            stop._receive(signal.SIGTERM, None)
            stop._receive(signal.SIGTERM, None)
            assert sent == ([] if variable else [signal.SIGTERM]), "a second signal ends the process at once"
            sent.clear()
            now += 0.9 * ECHO_S  # within the time of an echo
            stop._receive(signal.SIGTERM, None)
            assert sent == ([] if variable else [signal.SIGTERM])
            sent.clear()
            now += 0.2 * ECHO_S
            stop._receive(signal.SIGTERM, None)
            assert sent == [signal.SIGTERM]
            sent.clear()

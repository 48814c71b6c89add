import os
import sys

import pytest

from mobilenet_lab.callbacks.progress import PlainProgress, progress_bar
from mobilenet_lab.callbacks.terminal_progress import TerminalProgress
from mobilenet_lab.runtime.terminal import assume_terminal_size


@pytest.mark.parametrize(
    ("is_terminal", "size", "kind"),
    [
        (True, (80, 24), TerminalProgress),
        (True, (0, 0), PlainProgress),
        (True, (80, 0), PlainProgress),
        (True, (5, 24), PlainProgress),
        (False, (80, 24), PlainProgress),
    ],
)
def test_bar_needs_a_terminal_with_a_size(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, size: tuple[int, int], kind: type
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size(size))
    monkeypatch.setenv("TERM", "xterm")
    assert type(progress_bar(0.2, 10.0)) is kind
    monkeypatch.setenv("TERM", "dumb")
    assert type(progress_bar(0.2, 10.0)) is PlainProgress


@pytest.mark.parametrize(("size", "assumed"), [((0, 0), ["80", "24"]), ((100, 50), [None, None])])
def test_other_bars_get_a_size_on_a_terminal_without_one(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], assumed: list[str | None]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size(size))
    for name in ("TQDM_NCOLS", "TQDM_NROWS"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    assume_terminal_size()
    assert [os.environ.get(name) for name in ("TQDM_NCOLS", "TQDM_NROWS")] == assumed

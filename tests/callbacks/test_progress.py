import os
import sys

import pytest

from mobilenet_lab.callbacks.progress import PlainProgress, TerminalProgress, progress_bar


@pytest.mark.parametrize(
    ("is_terminal", "columns", "kind"),
    [
        (True, 80, TerminalProgress),
        (True, 0, PlainProgress),
        (True, 5, PlainProgress),
        (False, 80, PlainProgress),
    ],
)
def test_bar_needs_a_terminal_with_a_width(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, columns: int, kind: type
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((columns, 24)))
    assert type(progress_bar(20, 10.0)) is kind

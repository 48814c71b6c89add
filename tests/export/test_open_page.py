import sys
from pathlib import Path

import pytest

from mobilenet_lab.export.open_page import open_in_browser


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return addresses


def test_machine_without_a_desktop_opens_nothing(
    opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    open_in_browser(Path("outputs/demo.html"))
    assert opened == []
    assert Path("outputs/demo.html").resolve().as_uri() in capsys.readouterr().out


def test_desktop_opens_the_file(opened: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    open_in_browser(tmp_path / "a b.html")
    assert opened == [f"file://{tmp_path}/a%20b.html"]

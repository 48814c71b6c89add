import fcntl
import io
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY_RUN
from lightning.pytorch import LightningModule, Trainer

from mobilenet_lab.callbacks.terminal_progress import ERASE_REST, PLAIN, TerminalProgress, render

VALUES = ["1:12 left", "loss 0.412", "val 0.9912", "2,011 images/s", "lr 0.012"]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(20, 0), (30, 0), (40, 1), (60, 3), (80, 4), (100, 5), (300, 5)],
)
def test_narrow_terminals_show_the_most_important_values(columns: int, shown: int) -> None:
    line = render(columns, "epoch 2/3", 0.62, VALUES)
    assert [value in line for value in VALUES] == [True] * shown + [False] * (len(VALUES) - shown)
    assert line.startswith("epoch 2/3 ")
    assert "62%" in line
    assert len(line) < columns


@pytest.mark.parametrize("fraction", [0.0, 0.005, 0.5, 0.999, 1.0])
def test_bar_has_the_fraction_that_is_done(fraction: float) -> None:
    line = render(80, "test", fraction, [], PLAIN)
    done, left = line.count("#"), line.count(".")
    assert done + left == 40
    assert abs(done / 40 - fraction) <= 0.5 / 40


def test_log_messages_and_lines_are_not_mixed_with_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.StringIO()
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("mobilenet_lab.callbacks.terminal_progress.terminal_columns", lambda stream: 60)
    progress, root = TerminalProgress(0.2), logging.getLogger()
    handler = logging.StreamHandler(stdout)
    root.addHandler(handler)
    trainer: Any = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[progress])
    progress.setup(trainer, LightningModule(), "fit")
    try:
        progress._draw("epoch 1/3", 0.5, VALUES)
        assert stdout.getvalue().endswith(f"{ERASE_REST}\r")
        root.warning("disk is nearly full")
        assert stdout.getvalue().endswith(f"\r\r{ERASE_REST}disk is nearly full\n")
        progress.print("a line")
        assert stdout.getvalue().endswith("full\na line\n")  # no bar was visible
        progress._draw("epoch 1/3", 0.6, VALUES)
        progress.disable()
        progress.teardown(trainer, LightningModule(), "fit")
        assert stdout.getvalue().endswith(f"\r\r{ERASE_REST}")
    finally:
        root.removeHandler(handler)
    assert progress._eraser not in root.handlers


def resize(descriptor: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@pytest.mark.run
def test_run_on_a_terminal_draws_a_bar_and_a_line_per_epoch(tmp_path: Path, tiny_idx: Path) -> None:
    """The terminal shrinks after the second epoch."""
    primary, secondary = pty.openpty()
    resize(primary, 80)
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "callbacks.progress.refresh_every_n_seconds=0"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *settings, "trainer.max_epochs=4"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=secondary,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(secondary)
    written = b""
    while True:
        try:
            chunk = os.read(primary, 1 << 16)
        except OSError:  # the other end is closed
            break
        if b"epoch 2/4: " in written + chunk and b"epoch 2/4: " not in written:
            resize(primary, 50)
        written += chunk
    os.close(primary)
    text = written.decode()
    assert process.wait(timeout=60) == 0, text

    drawn = [part.removesuffix(ERASE_REST) for part in re.split(r"[\r\n]+", text)]
    bars = [part for part in drawn if "━" in part or "─" in part]
    assert all(len(bar) < 80 for bar in bars)
    assert all(len(bar) < 50 for bar in bars if bar.startswith("epoch 4/4"))
    for start in ("epoch 1/4 ", "epoch 1/4 val ", "epoch 4/4 val ", "test "):
        assert any(bar.startswith(start) for bar in bars), start
    assert any(re.search(r"0:\d\d left  loss \d+\.\d{3}  val [01]\.\d{4}", bar) for bar in bars)
    lines = [line.split(ERASE_REST)[-1] for line in text.split("\r\n")]
    assert (
        sum(
            re.fullmatch(r"epoch \d/4: accuracy train .*, val .*; loss train .*", x) is not None
            for x in lines
        )
        == 4
    )
    assert all(len(line) <= 80 for line in lines if "outputs/" not in line)
    assert lines[-3].startswith("predict   python predict.py")
    assert lines[-2].startswith("report    outputs/")
    assert not re.search("tip|litlogger|litmodels|warn", text, re.IGNORECASE)

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

COUNT_SIGNALS = """
import signal, sys
count = 0
def note(number, frame):
    global count
    count += 1
    print(signal.Signals(number).name, count, flush=True)
    if count == 2:
        sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, note)
print("ready", flush=True)
while True:
    signal.pause()
"""
RUN_JOB = f"""
import signal, sys
from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.runtime.child_process import run_forwarding_signals
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with one_line_errors():
    run_forwarding_signals([sys.executable, "-c", {COUNT_SIGNALS!r}], {{}})
"""


@pytest.mark.run
@pytest.mark.parametrize(
    ("number", "received", "code"),
    [(signal.SIGINT, "SIGINT", 130), (signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "SIGTERM", 129)],
)
def test_child_receives_every_signal(number: signal.Signals, received: str, code: int) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    sweep = subprocess.Popen(
        [sys.executable, "-c", RUN_JOB], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert sweep.stdout is not None
    with sweep:
        for line in ("ready", f"{received} 1"):
            assert sweep.stdout.readline() == f"{line}\n"
            sweep.send_signal(number)
        assert sweep.stdout.readline() == f"{received} 2\n"
    assert sweep.returncode == code

import signal
import subprocess
import sys

COUNT_SIGNALS = """
import signal, sys
count = 0
def note(*_):
    global count
    count += 1
    print("signal", count, flush=True)
    if count == 2:
        sys.exit(7)
signal.signal(signal.SIGTERM, note)
print("ready", flush=True)
while True:
    signal.pause()
"""
RUN_JOB = f"""
import sys
from mobilenet_lab.runtime.child_process import run_forwarding_signals
run_forwarding_signals([sys.executable, "-c", {COUNT_SIGNALS!r}], {{}})
"""


def test_child_receives_every_signal() -> None:
    sweep = subprocess.Popen([sys.executable, "-c", RUN_JOB], stdout=subprocess.PIPE, text=True)
    assert sweep.stdout is not None
    with sweep:
        for line in ("ready", "signal 1"):
            assert sweep.stdout.readline() == f"{line}\n"
            sweep.send_signal(signal.SIGTERM)
        assert sweep.stdout.readline() == "signal 2\n"
    assert sweep.returncode == 143

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
sys.path.insert(0, "src")
from mobilenet_lab.runtime.malloc import configure_malloc
if sys.argv[1] == "keep":
    assert configure_malloc()
import torch
for _ in range(10):
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.run
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_large_tensors_reuse_their_pages(pytestconfig: pytest.Config) -> None:
    faults = {}
    for setting in ("keep", "default"):
        done = subprocess.run(
            [sys.executable, "-c", STEPS, setting],
            cwd=pytestconfig.rootpath,
            capture_output=True,
            text=True,
            check=True,
        )
        faults[setting] = int(done.stdout)
    assert faults["keep"] < 200
    assert faults["default"] > 10 * faults["keep"] + 200

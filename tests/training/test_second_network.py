"""A second network needs a class, a YAML file and an entry in the registry."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_RUN
from runs_under_test import load_checkpoint

SCRIPT = f"""
import runpy
import sys

sys.path.insert(0, {str(ROOT / "src")!r})
from torch import nn

from mobilenet_lab.models import NETWORKS


class LinearNetwork(nn.Sequential):
    def __init__(self, in_channels: int, num_classes: int, hidden: int = 3) -> None:
        stem = nn.Conv2d(in_channels, hidden, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        super().__init__(*stem, nn.Linear(16 * hidden, num_classes))


NETWORKS["linear"] = LinearNetwork
sys.argv[0] = {str(ROOT / "train.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.run
def test_second_network_trains_from_a_users_config_dir(tmp_path: Path, tiny_idx: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/linear.yaml").write_text("network: linear\nhidden: 5 # in [1, 64]; channels\n")
    (tmp_path / "script.py").write_text(SCRIPT)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        settings = [argument for argument in TINY_RUN if not argument.startswith("model.")]
        command = [sys.executable, "script.py", "--config-dir=conf", "model=linear", *settings, *arguments]
        command += [f"data.root={tiny_idx}", "trainer.limit_train_batches=1", "output_dir=run"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    done = run("trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("model    linear(hidden=5), 860 parameters,")  # 5 * (9 + 1) + 10 * (80 + 1)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint["hyper_parameters"]["model"] == {"network": "linear", "hidden": 5}
    assert checkpoint["global_step"] == 1
    refused = run("model.hidden=65")
    assert refused.stderr == "error: model.hidden=65: must be an integer from 1 to 64\n"

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

CASES = ("train", "floor", "naive", "loader", "predict_folder", "decode_folder", "config_error")


@pytest.mark.slow
def test_cases_leave_figures_and_a_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mobilenet_lab.benchmark", "--quick", "--filters=4"),
            *(f"--data={ROOT / 'data'}", f"--output={tmp_path}", "--only", *CASES),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "latest.json").read_text())
    for case in CASES[:-1]:
        assert measured[f"{case}.images_per_second"] > 0
        assert measured[f"{case}.peak_memory_mb"] > 1
    assert 0.2 < measured["config_error.seconds"] < 20
    # Single pictures, other layers and another layout cost more than any noise hides.
    assert measured["train_per_naive"] > 1
    assert measured["loader.images_per_second"] > 100 * measured["train.images_per_second"]
    table = (tmp_path / "latest.md").read_text()
    assert table in done.stdout
    assert "| training: bare loop over tensors in memory |" in table

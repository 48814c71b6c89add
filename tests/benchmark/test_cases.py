import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir

from mobilenet_lab.benchmark import cases
from mobilenet_lab.benchmark.cases import Settings

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
    # Single images, other layers and another layout cost more than any noise hides.
    assert measured["train_per_naive"] > 1
    assert measured["loader.images_per_second"] > 100 * measured["train.images_per_second"]
    table = (tmp_path / "latest.md").read_text()
    assert table in done.stdout
    assert "| training: bare loop over tensors in memory |" in table


def test_reference_case_trains_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(cases, "_run", lambda script, *arguments, cwd: commands.append(arguments))
    settings = Settings(4, 32, 1, 128, 10, 100, Path("data"), Path("work"))
    with pytest.raises(FileNotFoundError, match="result"):
        cases.reference(settings)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        measured = compose("train", list(commands[0]))
        recipe = compose("train", ["experiment=reference"])
    for key in ("model", "augmentation", "optimizer", "scheduler"):
        assert measured[key] == recipe[key]
    for key in ("image_size", "channels", "batch_size"):
        assert measured.data[key] == recipe.data[key]

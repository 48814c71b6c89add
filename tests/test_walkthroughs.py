"""Run the walkthroughs of docs/add-a-dataset.md, add-a-network.md and add-a-callback.md."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT

pytestmark = pytest.mark.run


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def write_files(page: str, folder: Path) -> None:
    """Write each block to the path in its first line, or edit the registry if that file exists."""
    for block in blocks(page, "python") + blocks(page, "yaml"):
        name, _, content = block.removeprefix("# ").partition("\n")
        path = folder / name
        if path.exists():
            added, registry = content.strip().split("\n\n")
            name = registry.split(" = ")[0]
            content = re.sub(rf"^{re.escape(name)} = .*$", registry, path.read_text(), flags=re.MULTILINE)
            content = content.replace(
                "\nfrom mobilenet_lab.runtime", f"\n{added}\nfrom mobilenet_lab.runtime"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": path}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


def test_data_set_trains_and_evaluates(tmp_path: Path) -> None:
    write_files("add-a-dataset.md", tmp_path)
    make, train, evaluate = blocks("add-a-dataset.md", "sh")[0].splitlines()
    assert run(make, tmp_path).returncode == 0
    done = run(train.replace("train.py", f"{ROOT}/train.py") + " trainer.accelerator=cpu", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "npz" in done.stdout
    done = run(evaluate.replace("evaluate.py", f"{ROOT}/evaluate.py"), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "on npz, test: accuracy" in done.stdout
    assert "of 100 images" in done.stdout


def test_network_trains(tmp_path: Path, tiny_idx: Path) -> None:
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", tmp_path)
    write_files("add-a-network.md", tmp_path)
    (command,) = blocks("add-a-network.md", "sh")
    data = f"data=idx data.root={tiny_idx} data.batch_size=16 data.val_split=20 trainer.max_epochs=1"
    done = run(f"{command.strip()} {data} trainer.accelerator=cpu", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "small_cnn" in done.stdout
    done = run(f"{command.strip()} {data} model.dropout=1", tmp_path)
    assert done.stderr.startswith("error: model.dropout=1: must be ")


def test_callback_freezes_layers(tmp_path: Path, tiny_idx: Path) -> None:
    (code,) = blocks("add-a-callback.md", "python")
    (tmp_path / "freeze_features.py").write_text(code)
    (command,) = blocks("add-a-callback.md", "sh")
    settings = f"data=idx data.root={tiny_idx} data.batch_size=16 data.val_split=20 trainer.max_epochs=1"
    command = command.strip().replace("train.py", f"{ROOT}/train.py")
    done = run(f"{command} {settings} trainer.accelerator=cpu output_dir=run", tmp_path)
    assert done.returncode == 0, done.stderr
    weights = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    # The weights of BatchNorm start as ones, and a step changes the trained ones.
    norms = {key: value for key, value in weights.items() if key.endswith(".weight") and value.ndim == 1}
    unchanged = {key for key, value in norms.items() if torch.equal(value, torch.ones_like(value))}
    assert unchanged == {key for key in norms if key.split(".")[2] in ("0", "1", "2")}

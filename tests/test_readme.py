"""Run every command of README.md and CONTRIBUTING.md in a copy of the repository."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from conftest import ROOT, digit_images
from PIL import Image

pytestmark = [
    pytest.mark.run,
    pytest.mark.skipif(
        Path(sys.prefix).resolve() != (ROOT / ".venv").resolve(), reason="the README's commands use .venv"
    ),
]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(document: str) -> list[str]:
    return [line for block in blocks(document, "sh") for line in block.splitlines() if line]


# Replacements that make a command take seconds
SHORTENED = {
    "make train": 'make train ARGS="debug=smoke"',
    "make test": 'make test ARGS="--collect-only -q"',
    'make test ARGS="-m unit"': 'make test ARGS="--collect-only -q -m unit"',
    "make lint": "make -n lint",  # the lint step checks the same files
    "make demo": 'make demo ARGS="verify=generated"',
    "python export.py": "python export.py verify=generated",
}


# Commands that use or resume the newest run. They share a folder, so one worker runs them all.
NEED_A_RUN = ("resume=latest", "predict", "evaluate", "export", "make demo")
SHARED = pytest.mark.xdist_group("readme")


def needs_a_run(command: str) -> bool:
    return any(word in command for word in NEED_A_RUN)


# Variables that `make test` passes on; they would change the commands
OF_MAKE = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
TINY = "outputs/tiny"  # a run with a small network


def shortened(command: str) -> str:
    if command in SHORTENED:
        return SHORTENED[command]
    if "tta_shifts" in command:
        return command.replace("ckpt=outputs/latest", f"ckpt={TINY}")
    if "-m pytest" in command:
        return f"{command} --collect-only"
    if command.startswith("make train ARGS="):
        return command[:-1] + ' debug=smoke"'
    if "debug=lr_find" in command:
        return f"{command} trainer.max_steps=60 optimizer.lr=1"
    if "experiment=" in command and "data.root=" in command:  # ImageNet's weights have tests of their own
        return f"{command} debug=smoke model.weights=null model.filters=1 data.image_size=32"
    if command.startswith("python train.py") and "--help" not in command:
        return f"{command} debug=smoke"
    return command


def make_workspace(folder: Path) -> Path:
    """Copy the tracked files; link the environment and data that `make setup` and a first run create."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in tracked:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (ROOT / "data").mkdir(exist_ok=True)
    (folder / "data").symlink_to(ROOT / "data")
    for name in ("img.png", "photo.jpg", "photo (1).jpg", "photos/a.png", "photos/b.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(digit_images(1, seed=len(name))[0][0]).save(folder / name)
    lines = ["path,label"]
    for i, (pixels, label) in enumerate(zip(*digit_images(200, seed=9), strict=True)):
        (folder / f"photos_by_class/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"photos_by_class/{label}/{i}.png")
        lines.append(f"photos_by_class/{label}/{i}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


@pytest.fixture(scope="module")
def workspace_with_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with finished runs, so that each command can run alone."""
    folder = make_workspace(tmp_path_factory.mktemp("readme"))
    run(folder, f"python train.py debug=smoke model.filters=1 output_dir={TINY}")
    run(folder, "python train.py debug=smoke")
    return folder


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=400,
        env={key: value for key, value in os.environ.items() if key not in OF_MAKE} | {"PATH": path},
        check=False,
    )


ORDINARY = [
    command
    for document in ("README.md", "CONTRIBUTING.md")
    for command in commands(document)
    if command != "make tensorboard"
]


def test_documents_have_commands() -> None:
    assert len(ORDINARY) >= 20
    assert "make tensorboard" in commands("README.md")


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        pytest.param(command, "workspace_with_run", marks=SHARED, id=command)
        if needs_a_run(command)
        else pytest.param(command, "workspace", id=command)
        for command in dict.fromkeys(ORDINARY)
    ],
)
def test_command_runs(request: pytest.FixtureRequest, command: str, folder: str) -> None:
    if "fashion_mnist" in command and not has_fashion_mnist():
        pytest.skip("Fashion-MNIST is not on this machine, and its mirrors may be out of reach")
    if command == "make demo":
        request.getfixturevalue("web_runtime_or_skip")
    if "ckpt=imagenet" in command:
        request.getfixturevalue("imagenet_weights")
    done = run(request.getfixturevalue(folder), shortened(command))
    if "accelerator=gpu" in command and not torch.cuda.is_available():
        assert done.returncode == 2
        assert done.stderr.startswith("error: trainer.accelerator=gpu: PyTorch")
        return
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout
    if "debug=lr_find" in command:
        assert "suggested optimizer.lr=" in done.stdout
    elif "train" in command.split(".")[0] and "--help" not in command:
        assert "python predict.py ckpt=outputs/" in done.stdout


def has_fashion_mnist() -> bool:
    folders = (ROOT / "data/fashion_mnist", Path("/usr/share/datasets/fashion-mnist"))
    return any(list(folder.glob("train-images-idx3-ubyte*")) for folder in folders)


@SHARED
@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_python_runs(workspace_with_run: Path, code: str) -> None:
    (workspace_with_run / "snippet.py").write_text(code)
    done = run(workspace_with_run, "python snippet.py")
    assert done.returncode == 0, done.stderr


@SHARED
def test_tensorboard_serves_the_runs(workspace_with_run: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["make", "tensorboard", f"ARGS=--port {port} --host 127.0.0.1"],
        cwd=workspace_with_run,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/data/plugin/scalars/tags"
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    tags = answer.read().decode()
            except OSError:
                continue
            if "val/accuracy" in tags:
                break
        assert "train/accuracy" in tags
        assert "val/accuracy" in tags
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def test_make_help_lists_every_target(workspace: Path) -> None:
    listed = run(workspace, "make help").stdout
    for target in [
        "setup",
        "train",
        "predict",
        "evaluate",
        "export",
        "tensorboard",
        "test",
        "lint",
        "bench",
        "results",
        "clean",
    ]:
        assert f"make {target} " in listed
    assert "reinstall" not in listed


def test_second_make_installs_nothing(workspace: Path) -> None:
    done = run(workspace, "make -n setup")
    assert "pip install" not in done.stdout

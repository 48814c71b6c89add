"""Whole processes, timed from start to exit."""

import tempfile
import time
from pathlib import Path

from mobilenet_lab.benchmark.scripts import run_script, time_script
from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.runs.folder import RunFolder


def predict_one(settings: Settings) -> Figures:
    """Time predict.py on one image."""
    return time_script(settings, "predict.py", f"ckpt={settings.work}/run", "image=images/00000.png")


def import_torch(settings: Settings) -> Figures:
    """Time importing PyTorch."""
    return time_script(settings, "-c", "import torch")


def show_help(settings: Settings) -> Figures:
    """Time train.py --help."""
    return time_script(settings, "train.py", "--help")


def config_error(settings: Settings) -> Figures:
    """Time train.py with a misspelled key."""
    return time_script(settings, "train.py", "model.filtrs=4", expected=2)


def time_to_99(settings: Settings) -> Figures:
    """Time experiment=fast, which reaches 99 % validation accuracy, without the test images."""
    overrides = (
        "experiment=fast",
        f"data.root={settings.data.resolve()}",
        "trainer.limit_test_batches=0",
        "trainer.accelerator=cpu",
        "output_dir=run",
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run_script("train.py", *overrides, cwd=folder)
        seconds = time.perf_counter() - began
        result = RunFolder(Path(folder) / "run").read_result() or {}
    return {"seconds": seconds, "val_accuracy": result["val/accuracy"]}

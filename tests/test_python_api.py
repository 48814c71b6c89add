"""Run the examples of docs/python-api.md, with tiny data instead of MNIST."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, digit_images
from lightning import Callback, Trainer
from PIL import Image
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mobilenet_lab import ImageClassifier, ImageDataModule

TRAIN, FEATURES = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/python-api.md").read_text(), re.DOTALL | re.MULTILINE
)
# Warnings of a plain trainer, which train.py silences
WARNINGS = (
    "LeafSpec",
    "your dataloader is not resumable",
    "does not have many workers",
    "smaller than the logging interval",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore:.*{text}") for text in WARNINGS]
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def constant(optimizer: Optimizer) -> dict[str, Any]:
    """Return a schedule that a resumed run can extend, unlike the one-cycle schedule of PyTorch."""
    return {"scheduler": LambdaLR(optimizer, lambda step: 1.0), "interval": "step"}


class SaveInSecondEpoch(Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Trainer, *arguments: object) -> None:
        if trainer.current_epoch == 1 and trainer.global_step == 10:
            trainer.save_checkpoint(self.path)


@pytest.fixture
def datamodule(tiny_idx: Path) -> Callable[..., ImageDataModule]:
    return lambda **arguments: ImageDataModule("idx", root=str(tiny_idx), batch_size=16, **arguments)


def test_training_example_runs(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = TRAIN.replace('ImageDataModule("mnist")', f'ImageDataModule("idx", "{tiny_idx}", batch_size=16)')
    code = code.replace("max_epochs=1", f"max_epochs=1, limit_train_batches=2, **{QUIET}")
    assert code.count("limit_train_batches") == code.count("batch_size") == 1
    monkeypatch.chdir(tmp_path)
    Image.fromarray(digit_images(1, seed=3)[0][0]).save("img.png")
    exec(compile(code, "python-api.md", "exec"), {})
    assert re.search(r"^\d \d+\.\d%$", capsys.readouterr().out, re.MULTILINE)


def test_features_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(FEATURES, "python-api.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "1/32: (1, 1280, 7, 7)"


def test_datamodule_serves_a_second_trainer_from_its_first_batch(
    datamodule: Callable[..., ImageDataModule], tmp_path: Path
) -> None:
    """A resumed fit leaves no position behind: the weights equal those with a new data module."""

    def fit(data: ImageDataModule, ckpt_path: Path | None = None, *callbacks: Callback) -> Trainer:
        torch.manual_seed(0)
        model = ImageClassifier(model={"filters": 1}, **data.describe(), scheduler=constant)
        trainer = Trainer(max_epochs=2, callbacks=list(callbacks), **QUIET)
        trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    used = datamodule()
    fit(used, None, SaveInSecondEpoch(tmp_path / "x.ckpt"))
    fit(used, tmp_path / "x.ckpt")
    again, new = (fit(data).model.state_dict() for data in (used, datamodule()))
    assert all(torch.equal(again[key], new[key]) for key in new)


def test_datamodule_keeps_the_native_size_by_default(datamodule: Callable[..., ImageDataModule]) -> None:
    described = datamodule().describe()
    assert described["preprocessing"]["image_size"] == described["data"]["native_size"] == 28
    assert described["data"]["images"] == 120
    assert datamodule(image_size=32).describe()["preprocessing"]["image_size"] == 32

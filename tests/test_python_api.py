"""Run the examples of docs/python-api.md, with tiny data instead of MNIST."""

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, digit_images
from lightning import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, StepLR

from mobilenet_lab import ImageClassifier, ImageDataModule
from mobilenet_lab.runtime.errors import InputError

TRAIN, FEATURES = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/python-api.md").read_text(), re.DOTALL | re.MULTILINE
)
# Warnings of a plain trainer, which train.py silences
WARNINGS = (
    "LeafSpec",
    "your dataloader is not resumable",
    "does not have many workers",
    "smaller than the logging interval",
    "`weights_only` was not set",
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


def classifier(data: ImageDataModule, **arguments: Any) -> ImageClassifier:
    return ImageClassifier(model={"filters": 1}, **data.describe(), **arguments)


def test_schedule_may_be_missing_or_plain(datamodule: Callable[..., ImageDataModule]) -> None:
    """Without a schedule the rate stays; PyTorch's own schedulers need no dictionary."""
    data = datamodule(augmentation=None, mixing=None)
    optimizer = partial(torch.optim.AdamW, lr=0.01)
    for scheduler, rate in ((lambda optimizer: None, 0.01), (partial(StepLR, step_size=1), 0.001)):
        trainer = Trainer(max_epochs=1, log_every_n_steps=0, **QUIET)  # 0 never logs within an epoch
        trainer.fit(classifier(data, optimizer=optimizer, scheduler=scheduler), data)
        assert trainer.global_step == 7
        assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(rate)
    with pytest.raises(
        InputError, match=r"^total_steps=inf: this schedule needs a number; limit the trainer"
    ):
        Trainer(max_epochs=-1, max_time="00:00:01:00", **QUIET).fit(classifier(data), data)


def test_checkpoint_is_trained_further(datamodule: Callable[..., ImageDataModule], tmp_path: Path) -> None:
    """The default schedule of a longer run continues where a finished run ended."""
    data, path = datamodule(), tmp_path / "x.ckpt"
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.fit(classifier(data), data)
    trainer.save_checkpoint(path)
    module = ImageClassifier.load_from_checkpoint(path, weights_only=True)
    longer = Trainer(max_epochs=2, **QUIET)
    longer.fit(module, data, ckpt_path=path, weights_only=True)
    assert longer.global_step == 14
    assert longer.optimizers[0].param_groups[0]["lr"] < 0.001


def test_metrics_and_predictions_are_returned(
    datamodule: Callable[..., ImageDataModule], tmp_path: Path
) -> None:
    """Their accuracies agree, and a logger gets each metric once."""
    data = datamodule(eval_batch_size=16)
    module, logger = classifier(data), CSVLogger(tmp_path)
    trainer = Trainer(max_epochs=1, **{**QUIET, "logger": logger})
    trainer.fit(module, data)
    (test,), (val,) = (run(module, data, verbose=False) for run in (trainer.test, trainer.validate))
    assert set(test) == {"test/loss", "test/accuracy"}
    assert set(val) == {"val/loss", "val/accuracy"}
    probabilities = torch.cat(trainer.predict(module, data))  # type: ignore[arg-type]
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(40))
    _, labels = data.subsets["test"].dataset.read(np.arange(40))
    accuracy = float((probabilities.argmax(dim=1) == labels).float().mean())
    assert accuracy == pytest.approx(test["test/accuracy"])
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        assert [bool(row["test/accuracy"]) for row in csv.DictReader(file)].count(True) == 1
    Trainer(max_epochs=1, **QUIET).fit(module, data)  # also after a validation


def test_overfit_batches_repeats_the_same_batches(datamodule: Callable[..., ImageDataModule]) -> None:
    seen: list[Any] = []

    class Record(Callback):
        def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, index: int) -> None:
            seen.append(batch[1].tolist())

    data = datamodule()
    Trainer(max_epochs=3, overfit_batches=2, callbacks=[Record()], **QUIET).fit(classifier(data), data)
    assert len(seen) == 6
    assert seen[:2] == seen[2:4] == seen[4:]

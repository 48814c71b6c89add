import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
]

BATCHES = 4


class Scripted(LightningModule):
    """Logs given validation metrics, one after another."""

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self._scores = iter(scores)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        score = torch.tensor(next(self._scores))
        self.log_dict({"val/accuracy": score, "val/loss": -score})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(best: BestCheckpoint, scores: Sequence[float], **options: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[best],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"max_epochs": len(scores), **options},
    )
    train, val = (DataLoader(TensorDataset(torch.zeros(size, 1))) for size in (BATCHES, 1))
    trainer.fit(Scripted(scores), train, val)
    return trainer


def saved_step(folder: Path) -> int:
    return int(torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["global_step"])


@pytest.mark.parametrize(("monitor", "mode"), [("val/accuracy", "max"), ("val/loss", "min")])
def test_best_epoch_is_kept(tmp_path: Path, monitor: str, mode: str) -> None:
    best = BestCheckpoint(str(tmp_path), monitor, mode)
    fit(best, [0.5, 0.75, 0.25, 0.75])
    assert (best.accuracy, abs(best.score or 0)) == (0.75, 0.75)
    assert saved_step(tmp_path) == 2 * BATCHES
    state = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)["callbacks"]
    assert state == {"BestCheckpoint": best.state_dict()}


def test_nan_is_worse_than_any_number(tmp_path: Path) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    fit(best, [math.nan, math.nan, 0.25, math.nan])
    assert (best.score, saved_step(tmp_path)) == (0.25, 3 * BATCHES)


@pytest.mark.parametrize(
    ("interval", "scores", "step"),
    [
        (1.0, [0.75], BATCHES),
        (1, [0.25, 0.75, 0.5, 0.75], 2),
        (2, [0.75, 0.5], 2),
        (0.25, [0.25, 0.5, 0.75, 0.5], 3),
    ],
)
def test_validations_within_an_epoch_count(
    tmp_path: Path, interval: float | int, scores: list[float], step: int
) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    fit(best, scores, max_epochs=1, val_check_interval=interval)
    assert (best.score, saved_step(tmp_path)) == (0.75, step)


def test_epoch_without_validation_is_not_saved(tmp_path: Path) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    fit(best, [0.5], max_epochs=3, check_val_every_n_epoch=2)
    assert saved_step(tmp_path) == 2 * BATCHES


def test_search_continues_with_the_same_metric_only(tmp_path: Path) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    fit(best, [0.5])
    same = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    same.load_state_dict(best.state_dict())
    assert same.score == 0.5
    other = BestCheckpoint(str(tmp_path), "val/loss", "min")
    other.load_state_dict(best.state_dict())
    assert other.score is None


def test_search_starts_over_without_a_file(tmp_path: Path) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    best.load_state_dict({"monitor": "val/accuracy", "mode": "max", "score": 2.0, "accuracy": 2.0})
    fit(best, [0.5])
    assert (best.score, best.accuracy) == (0.5, 0.5)

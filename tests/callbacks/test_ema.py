from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.callbacks.ema import CURRENT_WEIGHTS, EMAWeights


class Slope(LightningModule):
    """One weight that SGD lowers by 1 in every step; validation logs the weight that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([10.0]))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.steps += 1
        return self.weight.sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/accuracy", self.weight.sum())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(average: EMAWeights, folder: Path, *callbacks: Callback) -> tuple[Slope, Trainer]:
    """Four steps in two epochs, each with a validation."""
    module = Slope()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        callbacks=[average, *callbacks],
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    batches = DataLoader(TensorDataset(torch.zeros(2, 1)))
    trainer.fit(module, batches, batches)
    return module, trainer


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
]


def expected_average(weights: list[float], decay: float) -> float:
    """The first weight as it is, then each with its share; the decay rises as (1 + n) / (10 + n)."""
    average = weights[0]
    for n, weight in enumerate(weights[1:], start=1):
        share = 1 - min(decay, (1 + n) / (10 + n))
        average += share * (weight - average)
    return average


@pytest.mark.parametrize("decay", [0.999, 0.2])
def test_is_the_moving_average_of_the_weights_after_each_step(tmp_path: Path, decay: float) -> None:
    module, _ = fit(EMAWeights(decay, every_n_steps=1, start_step=0), tmp_path)
    expected = expected_average([9.0, 8.0, 7.0, 6.0], decay)
    assert module.weight.item() == pytest.approx(expected)
    assert module.steps.item() == 4  # a count is not averaged


def test_averages_every_so_many_steps_from_the_first_asked_for(tmp_path: Path) -> None:
    module, _ = fit(EMAWeights(0.999, every_n_steps=2, start_step=1), tmp_path)
    assert module.weight.item() == pytest.approx(expected_average([8.0, 6.0], 0.999))


def test_before_the_first_update_the_current_weights_are_validated_and_kept(tmp_path: Path) -> None:
    """Lightning's own callback validates and keeps the weights from before the training then."""
    module, trainer = fit(EMAWeights(0.9, every_n_steps=1, start_step=100), tmp_path)
    assert trainer.callback_metrics["val/accuracy"].item() == 6.0
    assert module.weight.item() == 6.0


def test_best_is_what_was_validated(tmp_path: Path) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    fit(EMAWeights(0.9, every_n_steps=1, start_step=0), tmp_path, best)
    checkpoint = torch.load(tmp_path / "best.ckpt", weights_only=True)
    # The first epoch's, since the weight only falls.
    validated = expected_average([9.0, 8.0], 0.9)
    assert best.best_model_score.item() == pytest.approx(validated)  # type: ignore[union-attr]
    assert checkpoint["state_dict"]["weight"].item() == pytest.approx(validated)
    assert checkpoint[CURRENT_WEIGHTS]["weight"].item() == 8.0


EMA = ("callbacks=ema", "callbacks.ema.start_step=3", "augmentation=elastic", "mixing=mixup")


def test_averages_are_not_silently_dropped_on_resume(script: Script, tiny_idx: Path) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}")
    assert script("train.py", *settings, *EMA, "output_dir=ema").returncode == 0
    done = script("train.py", *settings, "resume=ema", "trainer.max_epochs=3")
    assert done.returncode == 2
    assert "the checkpoint holds averaged weights; add callbacks=ema" in done.stderr

from pathlib import Path

import pytest
import torch
from conftest import TINY_RUN, Script
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.callbacks.ema import EMAWeights
from mobilenet_lab.checkpoints.state import CURRENT_WEIGHTS


class Slope(LightningModule):
    """One weight that SGD lowers by 1 per step; the validation logs its current value."""

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
    """Train four steps in two epochs, each with a validation."""
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
    """Average weights independently of PyTorch; the decay rises as (1 + n) / (10 + n)."""
    average = weights[0]
    for n, weight in enumerate(weights[1:], start=1):
        share = 1 - min(decay, (1 + n) / (10 + n))
        average += share * (weight - average)
    return average


@pytest.mark.parametrize("decay", [0.999, 0.2])
def test_average_is_the_moving_average_of_the_weights_after_each_step(tmp_path: Path, decay: float) -> None:
    module, _ = fit(EMAWeights(decay, every_n_steps=1, start_step=0), tmp_path)
    expected = expected_average([9.0, 8.0, 7.0, 6.0], decay)
    assert module.weight.item() == pytest.approx(expected)
    assert module.steps.item() == 4  # a count is not averaged


def test_updates_start_at_start_step_and_repeat_every_n_steps(tmp_path: Path) -> None:
    module, _ = fit(EMAWeights(0.999, every_n_steps=2, start_step=1), tmp_path)
    assert module.weight.item() == pytest.approx(expected_average([8.0, 6.0], 0.999))


def test_current_weights_are_validated_and_saved_before_the_first_update(tmp_path: Path) -> None:
    """Lightning's callback would validate and save the weights from before the training."""
    module, trainer = fit(EMAWeights(0.9, every_n_steps=1, start_step=100), tmp_path)
    assert trainer.callback_metrics["val/accuracy"].item() == 6.0
    assert module.weight.item() == 6.0


def test_best_checkpoint_holds_the_validated_average(tmp_path: Path) -> None:
    best = BestCheckpoint(str(tmp_path), "val/accuracy", "max")
    fit(EMAWeights(0.9, every_n_steps=1, start_step=0), tmp_path, best)
    checkpoint = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)
    # Of the first epoch, since the weight only falls.
    validated = expected_average([9.0, 8.0], 0.9)
    assert best.score == pytest.approx(validated)
    assert checkpoint["state_dict"]["weight"].item() == pytest.approx(validated)
    assert checkpoint[CURRENT_WEIGHTS]["weight"].item() == 8.0


EMA = ("callbacks=ema", "callbacks.ema.start_step=3", "augmentation=elastic", "mixing=mixup")


def test_resume_without_ema_of_averaged_weights_is_refused(script: Script, tiny_idx: Path) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}")
    assert script("train.py", *settings, *EMA, "output_dir=ema").returncode == 0
    done = script("train.py", *settings, "resume=ema", "trainer.max_epochs=3")
    assert done.returncode == 2
    assert "the checkpoint holds averaged weights; add callbacks=ema" in done.stderr

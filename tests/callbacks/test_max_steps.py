from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.callbacks.max_steps import MaxSteps, steps_left
from mobilenet_lab.training.builders import build_schedule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*dataloader is not resumable"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
]

BATCHES = 5


class Counter(LightningModule):
    """One weight that SGD lowers by 1 per step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.validated_at: list[int] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.validated_at.append(self.trainer.global_step)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(folder: Path, max_steps: int, resume: Path | None = None, **options: Any) -> tuple[Counter, Trainer]:
    module = Counter()
    callbacks: list[Callback] = [MaxSteps(max_steps), LastCheckpoint(str(folder), None, None)]
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        max_epochs=10,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    train, val = (DataLoader(TensorDataset(torch.zeros(size, 1))) for size in (BATCHES, 1))
    trainer.fit(module, train, val, ckpt_path=resume, weights_only=True)
    return module, trainer


@pytest.mark.parametrize("max_steps", [1, 4, 5, 6, 10])
def test_run_ends_at_the_step(tmp_path: Path, max_steps: int) -> None:
    module, trainer = fit(tmp_path, max_steps)
    assert (trainer.global_step, module.weight.item()) == (max_steps, -max_steps)
    assert steps_left(trainer) == 0


@pytest.mark.parametrize(
    ("max_steps", "interval", "validated_at"),
    [(3, 1.0, []), (5, 1.0, [5]), (7, 1.0, [5]), (4, 2, [2, 4]), (8, 2, [2, 4, 7]), (3, 2, [2])],
)
def test_last_step_is_validated_only_if_a_validation_is_due(
    tmp_path: Path, max_steps: int, interval: float | int, validated_at: list[int]
) -> None:
    module, trainer = fit(tmp_path, max_steps, val_check_interval=interval)
    assert module.validated_at == validated_at
    assert trainer.limit_val_batches == 1.0


def test_run_ends_at_the_step_while_gradients_are_accumulated(tmp_path: Path) -> None:
    _, trainer = fit(tmp_path, 4, accumulate_grad_batches=2)  # 3 steps per epoch
    assert trainer.global_step == 4
    checkpoint = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_resume_at_the_limit_trains_nothing(tmp_path: Path) -> None:
    fit(tmp_path, 7)
    module, trainer = fit(tmp_path, 7, resume=tmp_path / "checkpoints/last.ckpt")
    assert (trainer.global_step, module.weight.item()) == (7, -7)
    module, trainer = fit(tmp_path, 11, resume=tmp_path / "checkpoints/last.ckpt")
    assert (trainer.global_step, module.weight.item()) == (11, -11)


def test_trainer_without_a_limit_has_infinitely_many_steps_left() -> None:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert steps_left(trainer) == float("inf")


@pytest.mark.parametrize(("max_steps", "total"), [(-1, 100), (40, 40), (400, 100)])
def test_schedule_ends_with_the_run(max_steps: int, total: int) -> None:
    schedule = ("scheduler=cosine", "scheduler.warmup_steps=0", "scheduler.end_factor=0.5")
    cfg = composed(*schedule, f"trainer.max_steps={max_steps}")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = build_schedule(cfg)(optimizer, total_steps=100)["scheduler"]
    factor = scheduler.lr_lambdas[0]
    assert factor(total) == pytest.approx(0.5)
    assert factor(total - 1) > 0.5

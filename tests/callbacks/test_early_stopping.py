import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.early_stopping import EarlyStopping, stop_reason
from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*dataloader is not resumable"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
]

BATCHES = 4
LOSSES = [1.0, 0.5, 0.75, 0.25, 0.5, 0.5, 0.125, 0.125]  # patience=2 stops after the sixth epoch


class Scripted(LightningModule):
    """Logs a given loss per validation, and counts its training steps in a weight."""

    def __init__(self, losses: Sequence[float], per_epoch: int = 1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.losses = losses
        self.steps_per_loss = BATCHES // per_epoch

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.losses[self.trainer.global_step // self.steps_per_loss - 1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class PowerFailureError(Exception):
    pass


class FailAt(Callback):
    """Fails in a hook at a step, before the callbacks that write checkpoints are called."""

    def __init__(self, hook: str, step: int) -> None:
        def fail(trainer: Trainer, *arguments: Any) -> None:
            if trainer.global_step == step:
                raise PowerFailureError

        setattr(self, hook, fail)


def fit(
    folder: Path, stopping: EarlyStopping, *failures: Callback, resume: bool = False, **options: Any
) -> tuple[Scripted, Trainer]:
    per_epoch = options.pop("validations", 1)
    module = Scripted(options.pop("losses", LOSSES), per_epoch)
    last = LastCheckpoint(str(folder), options.pop("every_n_train_steps", None), None)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[stopping, *failures, last],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        max_epochs=len(module.losses) // per_epoch,
        val_check_interval=1 / per_epoch,
    )
    train, val = (DataLoader(TensorDataset(torch.zeros(size, 1))) for size in (BATCHES, 1))
    path = folder / "checkpoints/last.ckpt" if resume else None
    trainer.fit(module, train, val, ckpt_path=path, weights_only=True)
    return module, trainer


def test_run_stops_after_its_patience_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mobilenet_lab")
    module, trainer = fit(tmp_path, EarlyStopping("val/loss", patience=2))
    assert (trainer.global_step, module.weight.item()) == (6 * BATCHES, -6 * BATCHES)
    assert stop_reason(trainer) == "val/loss has not improved on 0.25 for 2 validations"
    assert caplog.messages[-1] == f"stopped early after epoch 6: {stop_reason(trainer)}"


@pytest.mark.parametrize(
    ("options", "losses", "steps", "reason"),
    [
        ({"stopping_threshold": 0.3}, LOSSES, 4, "val/loss has reached 0.3"),
        ({"patience": 3}, [1.0, math.nan, 0.5], 2, "val/loss is NaN or infinite"),
        ({"patience": 1, "min_delta": 0.6}, LOSSES, 2, "val/loss has not improved on 1 for 1 validation"),
        ({"patience": 1, "mode": "max"}, LOSSES, 2, "val/loss has not improved on 1 for 1 validation"),
        ({"patience": 9}, LOSSES, 8, None),
    ],
)
def test_reason_of_a_stop(
    tmp_path: Path, options: dict[str, Any], losses: list[float], steps: int, reason: str | None
) -> None:
    _, trainer = fit(tmp_path, EarlyStopping("val/loss", **options), losses=losses)
    assert (trainer.global_step, stop_reason(trainer)) == (steps * BATCHES, reason)


@pytest.mark.parametrize(
    ("hook", "step"),
    [
        ("on_train_batch_end", 2 * BATCHES + 2),  # in the middle of an epoch
        ("on_validation_end", 5 * BATCHES),  # between a validation and the checkpoint of its epoch
        ("on_validation_end", 6 * BATCHES),  # the validation that stops the run
        ("on_train_end", 6 * BATCHES),  # the run has stopped, but has no result
    ],
)
@pytest.mark.parametrize("validations", [1, 2])
def test_resume_after_a_kill_stops_at_the_same_step(
    tmp_path: Path, hook: str, step: int, validations: int
) -> None:
    options = {"every_n_train_steps": 1, "validations": validations}
    if validations == 2:
        options["losses"] = [2.0, *[loss for loss in LOSSES for _ in range(2)][:-1]]
    whole, trainer = fit(tmp_path / "whole", EarlyStopping("val/loss", patience=2), **options)
    settings = {"patience": 2}
    with pytest.raises(PowerFailureError):
        fit(
            tmp_path / "run",
            EarlyStopping("val/loss", **settings),
            FailAt(hook, min(step, trainer.global_step)),
            **options,
        )
    resumed, again = fit(tmp_path / "run", EarlyStopping("val/loss", **settings), resume=True, **options)
    assert (again.global_step, resumed.weight.item()) == (trainer.global_step, whole.weight.item())
    assert stop_reason(again) == stop_reason(trainer) is not None


def test_stopped_run_continues_with_more_patience(tmp_path: Path) -> None:
    fit(tmp_path / "run", EarlyStopping("val/loss", patience=1))
    resumed, _ = fit(tmp_path / "run", EarlyStopping("val/loss", patience=2), resume=True)
    whole, trainer = fit(tmp_path / "whole", EarlyStopping("val/loss", patience=2))
    assert resumed.weight.item() == whole.weight.item() == -6 * BATCHES
    assert stop_reason(trainer) is not None


@pytest.mark.parametrize("change", [{"best_score": "low"}, {"wait_count": None}, {"stopping_reason": 99}])
def test_malformed_state_is_refused_when_it_is_loaded(change: dict[str, Any]) -> None:
    state = EarlyStopping("val/loss").state_dict()
    with pytest.raises((ValueError, TypeError)):
        EarlyStopping("val/loss").load_state_dict(state | change)

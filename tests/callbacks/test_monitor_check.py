from pathlib import Path

import pytest
import torch
from conftest import composed
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.monitor_check import MonitorCheck
from mobilenet_lab.config.monitors import METRICS
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.builders import build_trainer
from mobilenet_lab.training.instantiation import one_line_misconfiguration

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]
MINE = f"+callbacks.mine._target_={__name__}.Mine"
STOP = "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping +callbacks.stop.monitor="
SAVE = "+callbacks.save._target_=lightning.pytorch.callbacks.ModelCheckpoint +callbacks.save.monitor="
TINY_MODEL = ("model.filters=1", "logger=none", "trainer.accelerator=cpu", "trainer.max_epochs=1")


class Mine(Callback):
    """Logs metrics of its own, and remembers when training began."""

    steps = 0

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("val/mine", 0.5)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("train/mine", 0.5)

    def on_train_batch_start(self, trainer: Trainer, *arguments: object) -> None:
        Mine.steps += 1


def fit(folder: Path, *overrides: str) -> Trainer:
    Mine.steps = 0
    cfg = composed(*TINY_MODEL, f"output_dir={folder}", *overrides)
    trainer = build_trainer(cfg, [], has_validation=True, step=0)
    batches = DataLoader(TensorDataset(torch.zeros(4, 1, 28, 28), torch.tensor([0, 1, 2, 3])), batch_size=2)
    with one_line_misconfiguration(trainer):
        trainer.fit(ImageClassifier({"filters": 1}), batches, batches)
    return trainer


@pytest.mark.parametrize(
    ("override", "message", "steps"),
    [
        ("callbacks.best.monitor=val/mines", "callbacks.best.monitor=val/mines: no such metric", 0),
        (f"{STOP}val_loss", "callbacks.stop.monitor=val_loss: .* did you mean val/loss?", 0),
        (f"{STOP}mines", "callbacks.stop.monitor=mines: .* did you mean val/mine?", 2),
        (f"{SAVE}trian/mine", "callbacks.save.monitor=trian/mine: .* did you mean train/mine?", 2),
    ],
)
def test_metric_that_nobody_logs_is_one_line_as_early_as_known(
    tmp_path: Path, override: str, message: str, steps: int
) -> None:
    with pytest.raises(InputError, match=message):
        fit(tmp_path, MINE, *override.split())
    assert Mine.steps == steps


@pytest.mark.parametrize("monitor", ["val/mine", "train/mine"])
def test_any_logged_metric_may_choose_the_best_checkpoint(tmp_path: Path, monitor: str) -> None:
    trainer = fit(tmp_path, MINE, f"callbacks.best.monitor={monitor}")
    assert [getattr(c, "score", None) for c in trainer.checkpoint_callbacks].count(0.5) == 1


def test_metrics_of_the_task_need_no_sanity_check(tmp_path: Path) -> None:
    trainer = fit(tmp_path, MINE, "callbacks=early_stopping")
    assert trainer.num_sanity_val_steps == 0
    assert {*METRICS, "val/mine", "train/mine"} == set(trainer.callback_metrics)
    (check,) = (c for c in trainer.checkpoint_callbacks if isinstance(c, MonitorCheck))
    assert check.explain(trainer, RuntimeError("val/loss")) is None

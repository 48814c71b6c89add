import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mobilenet_lab.callbacks.dashboard import Dashboard
from mobilenet_lab.callbacks.embeddings import EmbeddingRecorder
from mobilenet_lab.callbacks.gradient_norm import gradient_norm
from mobilenet_lab.callbacks.throughput import Throughput
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange
from mobilenet_lab.runs.folder import RunFolder

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance\\(treespec, LeafSpec\\)"),
]


class Recorder(Logger):
    """A logger of another kind than TensorBoard's."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    name = version = ""  # type: ignore[assignment]

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append({**metrics, "step": step})


class Line(LightningModule):
    """A module without panels, whose gradient is (3, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return (self.weight * torch.tensor([3.0, 4.0])).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def trainer(folder: Path, logger: Logger, **settings: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=logger,
        callbacks=[Throughput(), Dashboard(str(folder))],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **settings,
    )


@pytest.mark.parametrize("batches", [1, 3])
def test_gradient_norm_is_that_of_the_step_before_clipping(tmp_path: Path, batches: int) -> None:
    logger = Recorder()
    fit = trainer(
        tmp_path, logger, log_every_n_steps=2, gradient_clip_val=0.5, accumulate_grad_batches=batches
    )
    fit.fit(Line(), DataLoader(TensorDataset(torch.zeros(4 * batches, 1), torch.zeros(4 * batches))))
    assert [row["step"] for row in logger.rows] == [1, 3]
    assert [row["step/gradient_norm"] for row in logger.rows] == [pytest.approx(5)] * 2
    assert all(row["speed/images_per_second"] > 0 for row in logger.rows)


def test_gradient_norm_is_divided_by_the_scale_that_a_fused_optimizer_removes() -> None:
    module = Line()
    module.weight.grad = torch.tensor([3.0, 4.0]) * 1024
    scaler = torch.amp.GradScaler("cpu", init_scale=1024)
    scaler.scale(torch.ones(()))  # creates the scale
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    for fused, norm in ((True, 5.0), (False, 5 * 1024)):  # Lightning divides for other optimizers
        optimizer = torch.optim.SGD(module.parameters(), lr=1.0, fused=fused)
        fake: Any = SimpleNamespace(precision_plugin=plugin)
        assert float(gradient_norm(fake, module, optimizer)) == pytest.approx(norm)


class SlowImages:
    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        time.sleep(0.02)
        return torch.zeros(len(indices), 1, 4, 4, dtype=torch.uint8), torch.zeros(len(indices)).long()

    def __len__(self) -> int:
        return 12


class SlowLine(Line):
    def transfer_batch_to_device(self, batch: Any, *_: Any) -> Any:
        return batch["images"], batch["labels"]

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        time.sleep(0.06)
        return super().training_step(batch, batch_idx)


def test_share_of_time_spent_waiting_is_that_of_slow_data(tmp_path: Path) -> None:
    logger, images = Recorder(), SlowImages()
    loader = batch_loader(images, BatchSampler(IndexRange(0, 12), 2, shuffle=False))  # type: ignore[arg-type]
    trainer(tmp_path, logger, log_every_n_steps=6).fit(SlowLine(), loader)
    (row,) = logger.rows
    # The clock starts with the first batch in memory: five of six reads, and six steps.
    assert row["speed/data_wait"] == pytest.approx(5 * 0.02 / (5 * 0.02 + 6 * 0.06), abs=0.12)
    assert loader.wait_seconds >= 6 * 0.02  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "layers",
    [
        [torch.nn.Conv2d(1, 2, 4), torch.nn.Flatten()],
        [torch.nn.Linear(4, 2), torch.nn.Flatten()],  # sees the rows of an image
    ],
)
def test_embeddings_of_a_network_without_features_are_skipped(
    tmp_path: Path, layers: list[torch.nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    module = LightningModule()
    module.network = torch.nn.Sequential(*layers)
    recorder = EmbeddingRecorder(5)
    recorder.start(module)
    images = torch.zeros(3, 1, 4, 4)
    recorder.note((images, torch.zeros(3).long()))
    module.network(images)
    recorder.write(RunFolder(tmp_path), module)
    assert "callbacks.dashboard.embeddings=5 is ignored: " in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert not any(layer._forward_pre_hooks for layer in module.modules())


def test_no_features_are_recorded_without_tensorboard(tmp_path: Path) -> None:
    module = Line()
    module.layer = torch.nn.Linear(2, 2)
    fake: Any = SimpleNamespace(loggers=[Recorder()], is_global_zero=True)
    Dashboard(str(tmp_path), embeddings=5).on_test_start(fake, module)
    assert not module.layer._forward_pre_hooks

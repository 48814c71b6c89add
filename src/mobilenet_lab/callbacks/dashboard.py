"""Log what TensorBoard shows besides loss and accuracy."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from mobilenet_lab.callbacks.embeddings import EmbeddingRecorder
from mobilenet_lab.callbacks.gradient_norm import gradient_norm
from mobilenet_lab.callbacks.network_panels import add_graph, add_histograms
from mobilenet_lab.callbacks.throughput import Throughput
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.panels import Panels
from mobilenet_lab.runs.tensorboard import add_panels, writers
from mobilenet_lab.runtime.lightning_internals import ends_epoch
from mobilenet_lab.tasks.metric_logging import epoch_step, is_logged_step, log_now


@runtime_checkable
class HasPanels(Protocol):
    """A LightningModule that shows images and curves of its own on a dashboard."""

    def panels(self, stage: str) -> Panels:
        """Return what to show after a validation ("val") or a test ("test")."""

    def batch_panels(self, batch: Any) -> Panels:
        """Return what to show of the first training batch."""


class Dashboard(Callback):
    """Logs speed and gradient norm every `log_every_n_steps` to all loggers, and panels to TensorBoard.

    The panels are images and curves of the LightningModule, if it has the methods of `HasPanels`.

    Args:
        folder: The run folder.
        images: Whether to show the panels of the LightningModule.
        every_n_epochs: Epochs between the panels of validations.
        histograms: Whether to show histograms of weights and gradients at the end of every epoch.
        graph: Whether to show the graph of the network.
        embeddings: Number of test images to show in the projector, by their features before the last layer.
    """

    def __init__(
        self,
        folder: str,
        images: bool = True,
        every_n_epochs: int = 1,
        histograms: bool = False,
        graph: bool = False,
        embeddings: int = 0,
    ) -> None:
        self._run = RunFolder(Path(folder))
        self.images = images
        self.every_n_epochs = every_n_epochs
        self.histograms = histograms
        self.graph = graph
        self._embeddings = EmbeddingRecorder(embeddings) if embeddings else None
        self._norm: Tensor | None = None
        self._totals = (0, 0.0, 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the configuration, which a resumed run may have changed."""
        for writer in writers(trainer):
            if self._run.config.is_file():
                lines = self._run.config.read_text().splitlines()
                writer.add_text(
                    "configuration", "\n".join(f"    {line}" for line in lines), trainer.global_step
                )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show the first batch and the graph, once."""
        if trainer.global_step or batch_idx:
            return
        for writer in writers(trainer):
            if self.images and isinstance(pl_module, HasPanels):
                add_panels(writer, pl_module.batch_panels(batch), trainer.global_step)
            if self.graph:
                add_graph(writer, pl_module.network, batch[0][:1])  # type: ignore[arg-type]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure the gradient norm of a step that is logged."""
        if trainer.loggers and is_logged_step(trainer):
            self._norm = gradient_norm(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log gradient norm and speed; after the last batch of an epoch, show the histograms."""
        if self._norm is not None:
            values = {"step/gradient_norm": float(self._norm), **self._speed(trainer)}
            log_now(pl_module, values, trainer.global_step - 1)
            self._norm = None
        # Lightning clears the gradients before a validation.
        if self.histograms and ends_epoch(trainer):
            for writer in writers(trainer):
                add_histograms(writer, pl_module, trainer.global_step - 1)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the panels of the validation."""
        is_due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if is_due and trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._add_panels(trainer, pl_module, "val", epoch_step(trainer, "val"))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record features, if TensorBoard will show them."""
        if (recorder := self._recorder(trainer)) is not None:
            recorder.start(pl_module)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the images whose features will be recorded."""
        if (recorder := self._recorder(trainer)) is not None:
            recorder.note(batch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the panels of the test, and the embeddings."""
        self._add_panels(trainer, pl_module, "test", trainer.global_step)
        if (recorder := self._recorder(trainer)) is not None:
            recorder.write(self._run, pl_module)

    def _recorder(self, trainer: Trainer) -> EmbeddingRecorder | None:
        """Return what records features; None without TensorBoard, and on other ranks than the first."""
        return self._embeddings if writers(trainer) else None

    def _add_panels(self, trainer: Trainer, pl_module: LightningModule, stage: str, step: int) -> None:
        if self.images and isinstance(pl_module, HasPanels) and (found := writers(trainer)):
            panels = pl_module.panels(stage)
            for writer in found:
                add_panels(writer, panels, step)

    def _speed(self, trainer: Trainer) -> dict[str, float]:
        """Return the speed since it was last logged, of all ranks together."""
        clock = next((c for c in trainer.callbacks if isinstance(c, Throughput)), None)  # type: ignore[attr-defined]
        if clock is None:
            return {}
        now = clock.totals(trainer)
        images, seconds, waited = (new - old for new, old in zip(now, self._totals, strict=True))
        self._totals = now
        if seconds <= 0:
            return {}
        return {
            "speed/images_per_second": images * trainer.world_size / seconds,
            "speed/data_wait": waited / seconds,
        }

"""The LightningModule for classification: a network with its loss, metrics and optimizer."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mobilenet_lab.checkpoints import state
from mobilenet_lab.models import build_network
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.lightning_internals import compile_error
from mobilenet_lab.tasks.losses import balanced_weights, cross_entropy
from mobilenet_lab.tasks.metric_logging import log_epoch_now, log_now
from mobilenet_lab.tasks.metrics import ClassificationMetrics

log = logging.getLogger(__name__)


class ImageClassifier(LightningModule):
    """Trains a network of `models.NETWORKS` to name what a image shows.

    Everything that a checkpoint needs to be used without this class is in `hparams`, as plain values.

    Args:
        network: Name of the network.
        classes: Names of the classes, by label.
        preprocessing: Arguments of `data.preprocessing.Preprocessing`, for whoever uses the checkpoint.
        data: What the images are, likewise: the data set's name, their size as read, and so on.
        label_smoothing: Share of the target that is spread over all classes (Szegedy et al. 2015,
            arXiv:1512.00567), in training only.
        class_weights: Weight of each class in the training loss, or "balanced" for weights inversely
            proportional to `class_counts`; None for equal ones.
        class_counts: Training images of each class.
        optimizer: Makes the optimizer of parameter groups; None for a module that is not trained.
        scheduler: Makes the schedule of an optimizer and `total_steps`; see `schedulers`.
        cpu_layers: See `models.build_network`.
        compile: A mode of `torch.compile` for the network; None runs it as it is.
        network_arguments: The network's own.
    """

    def __init__(
        self,
        network: str,
        classes: Sequence[str],
        preprocessing: dict[str, Any],
        data: dict[str, Any],
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | str | None = None,
        class_counts: Sequence[int] | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., dict[str, Any]] | None = None,
        cpu_layers: bool = True,
        compile: str | None = None,
        **network_arguments: Any,
    ) -> None:
        super().__init__()
        training_only = ["class_weights", "class_counts", "optimizer", "scheduler", "compile"]
        self.save_hyperparameters(ignore=training_only)
        if class_weights == "balanced":
            assert class_counts is not None
            class_weights = balanced_weights(class_counts)
        if class_weights is not None and len(class_weights) != len(classes):
            raise InputError(
                f"model.class_weights: needs a number for each of {len(classes)} classes, "
                f"not {len(class_weights)}"
            )
        self.network = build_network(
            network,
            in_channels=preprocessing["channels"],
            num_classes=len(classes),
            cpu_layers=cpu_layers,
            **network_arguments,
        )
        # The method, as a module would be a second copy of the weights in every checkpoint
        self._compiled = torch.compile(self.network.forward, mode=compile, dynamic=False) if compile else None
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", weights, persistent=False)
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._logged_step = -1
        self.train_metrics = ClassificationMetrics(len(classes))
        self.val_metrics = ClassificationMetrics(len(classes))
        self.test_metrics = ClassificationMetrics(len(classes))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, which must not run the compiled code of this network."""
        return super().__getstate__() | {"_compiled": None}

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch of preprocessed images.

        Args:
            images: Shape (N, C, H, W), float32.

        Returns:
            Logits, shape (N, num_classes).
        """
        if self._compiled is not None:
            try:
                return self._compiled(images)
            except compile_error() as error:
                reason = str(error).strip().split("\n")[0]
                log.warning("model.compile: torch.compile failed, running without it: %s", reason)
                self._compiled = None
        return self.network(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch, with label smoothing and class weights.

        For mixed images, the accuracy counts the class with the largest share as the label.

        Args:
            batch: Images, shape (N, C, H, W), and labels, shape (N,), or probabilities of mixed images,
                shape (N, num_classes).
            batch_idx: Index of the batch in the epoch.
        """
        images, targets = batch
        logits = self(images)
        loss = cross_entropy(logits, targets, self.class_weights, self.label_smoothing)
        labels = targets.argmax(dim=1) if targets.ndim == 2 else targets
        self.train_metrics.update(loss.detach(), logits.detach(), labels)
        # Not in every step: reading a value waits for the device, and Lightning's `log` costs 0.3 ms.
        step = self.global_step
        if (step + 1) % self.trainer.log_every_n_steps == 0 and step != self._logged_step:  # type: ignore[attr-defined]
            self._logged_step = step  # with gradient accumulation, a step has several batches
            accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
            self._log_step(loss.detach(), accuracy)
        return loss

    def on_train_epoch_start(self) -> None:
        """Reset the metrics."""
        self.train_metrics.reset()

    def on_train_epoch_end(self) -> None:
        """Log loss and accuracy of the epoch, and step the `plateau` schedule."""
        self._log_epoch("train", self.train_metrics)
        scheduler = self.lr_schedulers()
        # An epoch may end without a validation.
        if isinstance(scheduler, ReduceLROnPlateau) and "val/loss" in self.trainer.callback_metrics:
            scheduler.step(self.trainer.callback_metrics["val/loss"])

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients.

        Lightning refuses to clip with mixed precision and a fused optimizer, which may scale gradients. With
        bfloat16, gradients are not scaled.
        """
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None and gradient_clip_val:
            by_value = gradient_clip_algorithm == "value"
            clip = plugin.clip_grad_by_value if by_value else plugin.clip_grad_by_norm
            clip(optimizer, gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step the schedule, except `plateau`: Lightning would step it after the checkpoint of the epoch."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Update the metrics with a batch."""
        self._evaluation_step(batch, self.val_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracy."""
        self._log_epoch("val", self.val_metrics)
        self.val_metrics.reset()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Update the metrics with a batch."""
        self._evaluation_step(batch, self.test_metrics)

    def on_test_epoch_start(self) -> None:
        """Reset the metrics."""
        self.test_metrics.reset()

    def on_test_epoch_end(self) -> None:
        """Log loss and accuracy, and keep the confusion matrix."""
        self.test_confusion = self._log_epoch("test", self.test_metrics)["confusion"]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's groups of parameters: one with weight decay, one without.

        Only weights of convolutions and linear layers decay. For BatchNorm and biases, decay would merely
        change the effective learning rate (Goyal et al. 2017, arXiv:1706.02677, section 5.3).
        """
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        return [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule.

        Raises:
            ValueError: The module was built without them.
        """
        if self._optimizer is None or self._scheduler is None:
            raise ValueError("this module was built without an optimizer and a scheduler")
        optimizer = self._optimizer(self.parameter_groups())
        total_steps = self.trainer.estimated_stepping_batches  # infinite if only the time is limited
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer, total_steps=total_steps)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the metrics of the current epoch, summed over all ranks, and what a resumed run must match."""
        with self.train_metrics.sync_context():
            checkpoint[state.TRAIN_METRICS] = {
                "confusion": self.train_metrics.confusion.clone(),
                "loss_sum": self.train_metrics.loss_sum.clone(),
            }
        checkpoint[state.NUM_THREADS] = torch.get_num_threads()
        if self.trainer.optimizers:
            checkpoint[state.OPTIMIZER_NAME] = type(self.trainer.optimizers[0]).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the metrics of the current epoch, on rank 0 only: they are sums over all ranks."""
        if self.global_rank == 0:
            metrics = state.train_metrics(checkpoint)
            self.train_metrics.confusion = metrics["confusion"].to(self.device)
            self.train_metrics.loss_sum = metrics["loss_sum"].to(self.device)

    def _evaluation_step(self, batch: tuple[Tensor, Tensor], metrics: ClassificationMetrics) -> None:
        images, labels = batch
        logits = self(images)
        metrics.update(F.cross_entropy(logits, labels), logits, labels)

    def _log_epoch(self, stage: str, metrics: ClassificationMetrics) -> dict[str, Tensor]:
        values = metrics.compute()
        # The values are those of all ranks already; `sync_dist` only keeps Lightning from warning.
        self.log(f"{stage}/loss", values["loss"], logger=False, sync_dist=True)
        self.log(f"{stage}/accuracy", values["accuracy"], logger=False, prog_bar=True, sync_dist=True)
        log_epoch_now(self, stage, {name: float(values[name]) for name in ("loss", "accuracy")})
        return values

    def _log_step(self, loss: Tensor, accuracy: Tensor) -> None:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        values = {"step/loss": float(loss), "step/accuracy": float(accuracy), "step/learning_rate": rate}
        log_now(self, values, self.global_step)

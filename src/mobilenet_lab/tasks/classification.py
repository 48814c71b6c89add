"""The LightningModule: a network with its loss, its metrics and its optimizer."""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mobilenet_lab.models import network_for
from mobilenet_lab.runtime.lightning_internals import is_resumable_step
from mobilenet_lab.tasks.class_weights import class_weight_tensor
from mobilenet_lab.tasks.defaults import (
    MNIST_DATA,
    MNIST_PREPROCESSING,
    default_optimizer,
    default_scheduler,
)
from mobilenet_lab.tasks.metrics import ClassificationMetrics

log = logging.getLogger(__name__)


class ImageClassifier(LightningModule):
    """A network of `models.NETWORKS` with the loss, metrics and optimizer of image classification.

    By default it is a network for MNIST. `hparams` has all that is needed to use a checkpoint without this
    class, as plain values: `model`, `classes`, `preprocessing` and `data`.

    Args:
        model: Name of the network as `network`, and the arguments of its class, such as
            `{"network": "mobilenet_v2", "filters": 4}`.
        classes: Names of the classes, by label.
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`, for prediction.
        data: Description of the images, for prediction and evaluation: name of the data set, `native_size`,
            `mnist_style`, `fit`, and how it was split.
        label_smoothing: Fraction of the target that is spread over all classes in training (Szegedy et al.
            2015, arXiv:1512.00567).
        class_weights: Weight per class in the training loss, or "balanced" for weights inversely
            proportional to `class_counts`; None for equal weights.
        class_counts: Number of training images per class.
        optimizer: Builds the optimizer from parameter groups; None for SGD with Nesterov momentum and a
            learning rate of 0.1.
        scheduler: Builds Lightning's scheduler dictionary from the optimizer and, if it has that parameter,
            `total_steps`; None for one cycle up to the optimizer's learning rate. See `training.schedulers`.
        cpu_layers: Whether to use the faster implementations of layers in `models.cpu_layers`.
        compile: Mode of `torch.compile`; None does not compile.

    Raises:
        InputError: The network does not exist, or the class weights do not fit the classes.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | None = None,
        classes: Sequence[str] = tuple("0123456789"),
        preprocessing: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | str | None = None,
        class_counts: Sequence[int] | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., dict[str, Any]] | None = None,
        cpu_layers: bool = True,
        compile: str | None = None,
    ) -> None:
        super().__init__()
        model, classes = {"network": "mobilenet_v2", **(model or {})}, list(classes)
        preprocessing = dict(MNIST_PREPROCESSING if preprocessing is None else preprocessing)
        data = dict(MNIST_DATA if data is None else data)
        self.save_hyperparameters("model", "classes", "preprocessing", "data")
        self.network = network_for(model, classes, preprocessing, cpu_layers)
        # The method, as a module would be a second copy of the weights in every checkpoint
        self._compiled = torch.compile(self.network.forward, mode=compile, dynamic=False) if compile else None
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor | None
        weights = class_weight_tensor(class_weights, class_counts, len(classes))
        self.register_buffer("class_weights", weights, persistent=False)
        self._optimizer = optimizer or default_optimizer
        self._scheduler = scheduler or default_scheduler
        self._logged_step = -1
        self.train_metrics = ClassificationMetrics(len(classes))
        self.val_metrics = ClassificationMetrics(len(classes))
        self.test_metrics = ClassificationMetrics(len(classes))

    def __getstate__(self) -> dict[str, Any]:
        """A copy, such as one for averages, compiles nothing and does not run this network's code."""
        return super().__getstate__() | {"_compiled": None}

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (N, num_classes), of prepared images, shape (N, C, H, W)."""
        if self._compiled is not None:
            from torch._dynamo.exc import TorchDynamoException  # takes a second to import

            try:
                return self._compiled(images)
            except TorchDynamoException as error:
                reason = str(error).strip().split("\n")[0]
                log.warning("task.compile: the network cannot be compiled here, it runs as it is: %s", reason)
                self._compiled = None
        return self.network(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch, with label smoothing and class weights.

        Where images were mixed, accuracy is measured by the class that has the largest share.
        """
        images, targets = batch
        logits = self(images)
        loss = F.cross_entropy(logits, targets, self.class_weights, label_smoothing=self.label_smoothing)
        labels = targets
        if targets.ndim == 2:
            labels = targets.argmax(dim=1)
            if (
                self.class_weights is not None
            ):  # the mean that PyTorch takes of labels, but not of probabilities
                loss = loss * len(targets) / (targets @ self.class_weights).sum()
        self.train_metrics.update(loss.detach(), logits.detach(), labels)
        # Reading a value waits for the device, and Lightning's `log` costs 0.3 ms: not in every step.
        step = self.global_step
        if (step + 1) % self.trainer.log_every_n_steps == 0 and step != self._logged_step:  # type: ignore[attr-defined]
            self._logged_step = step  # with accumulation, a step has several batches
            accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
            self._log_step(loss.detach(), accuracy)
        return loss

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's sums."""
        self.train_metrics.reset()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's exact loss and accuracy, and let `plateau` look at the validation."""
        self._log_epoch("train", self.train_metrics)
        scheduler = self.lr_schedulers()
        # An epoch that ends before its time has no validation.
        if isinstance(scheduler, ReduceLROnPlateau) and "val/loss" in self.trainer.callback_metrics:
            scheduler.step(self.trainer.callback_metrics["val/loss"])

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; with bfloat16, whose gradients are not scaled, also for a fused optimizer."""
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None and gradient_clip_val:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm)
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Leave `plateau` out, which Lightning steps too late for the checkpoint of the epoch's end."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Add a batch to the sums."""
        self._evaluation_step(batch, self.val_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log exact loss and accuracy."""
        self._log_epoch("val", self.val_metrics)
        self.val_metrics.reset()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Add a batch to the sums."""
        self._evaluation_step(batch, self.test_metrics)

    def on_test_epoch_start(self) -> None:
        """Begin the sums."""
        self.test_metrics.reset()

    def on_test_epoch_end(self) -> None:
        """Log exact loss and accuracy."""
        self.test_confusion = self._log_epoch("test", self.test_metrics)["confusion"]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimizer gets: weight decay is for weights of convolutions and linear layers only.

        BatchNorm and biases are left out, since decay there only changes the effective learning rate
        (Goyal et al. 2017, arXiv:1706.02677, section 5.3).
        """
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        return [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def configure_optimizers(self) -> Any:
        """Build the optimizer, and its schedule over all steps."""
        optimizer = self._optimizer(self.parameter_groups())
        total_steps = self.trainer.estimated_stepping_batches  # infinite where only the time is limited
        takes_steps = "total_steps" in inspect.signature(self._scheduler).parameters
        arguments = {"total_steps": total_steps} if takes_steps else {}
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer, **arguments)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the sums of a training epoch that may be gone on with, those of all ranks together."""
        with self.train_metrics.sync_context():
            checkpoint["train_metrics"] = {
                "confusion": self.train_metrics.confusion.clone(),
                "loss_sum": self.train_metrics.loss_sum.clone(),
            }
        checkpoint["num_threads"] = torch.get_num_threads()
        if self.trainer.optimizers:
            checkpoint["optimizer"] = type(self.trainer.optimizers[0]).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the sums, on the first rank, so that they count once."""
        if self.global_rank == 0:
            self.train_metrics.confusion = checkpoint["train_metrics"]["confusion"].to(self.device)
            self.train_metrics.loss_sum = checkpoint["train_metrics"]["loss_sum"].to(self.device)

    def _evaluation_step(self, batch: tuple[Tensor, Tensor], sums: ClassificationMetrics) -> None:
        images, labels = batch
        logits = self(images)
        sums.update(F.cross_entropy(logits, labels), logits, labels)

    def _log_epoch(self, stage: str, sums: ClassificationMetrics) -> dict[str, Tensor]:
        values = sums.compute()
        # The sums are of all ranks already; `sync_dist` takes a mean of equal values.
        self.log(f"{stage}/loss", values["loss"], logger=False, sync_dist=True)
        self.log(f"{stage}/accuracy", values["accuracy"], logger=False, prog_bar=True, sync_dist=True)
        if not self.trainer.sanity_checking:
            # Lightning would log after the epoch's checkpoint is written, and a run that is killed in between
            # and goes on from it would lack them.
            metrics = {f"{stage}/{name}": float(values[name]) for name in ("loss", "accuracy")}
            self._log_now({"epoch": self.current_epoch, **metrics}, self._step_of(stage))
        return values

    def _step_of(self, stage: str) -> int:
        """The step that an epoch's figures are logged with.

        It is the last one done, as Lightning's, or where gradients are added up the one that is begun.
        Figures that there are only since a limit ended the run within an epoch get the next step, so that a
        run that goes on forgets them.
        """
        loop, is_fit = self.trainer.fit_loop.epoch_loop, self.trainer.state.fn == TrainerFn.FITTING
        is_within = {
            "train": not loop.batch_progress.is_last_batch,
            "val": is_fit and is_resumable_step(self.trainer),
            "test": True,
        }
        return self.global_step if is_within[stage] or loop._should_accumulate() else self.global_step - 1

    def _log_step(self, loss: Tensor, accuracy: Tensor) -> None:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        values = {"step/loss": float(loss), "step/accuracy": float(accuracy), "step/learning_rate": rate}
        self._log_now(values, self.global_step)

    def _log_now(self, values: dict[str, float], step: int) -> None:
        for logger in self.loggers:
            logger.log_metrics(values, step=step)

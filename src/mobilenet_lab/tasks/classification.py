"""The LightningModule for classification: a network with its loss, metrics and optimizer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mobilenet_lab.checkpoints import state
from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.models import network_for
from mobilenet_lab.runs.panels import Panels
from mobilenet_lab.runs.quality import Quality
from mobilenet_lab.runtime.lightning_internals import compile_error
from mobilenet_lab.tasks.class_weights import Weights, class_weight_tensor
from mobilenet_lab.tasks.classification_panels import batch_panels, quality_panels, quality_scalars
from mobilenet_lab.tasks.defaults import MNIST_DATA, MNIST_PREPROCESSING
from mobilenet_lab.tasks.losses import cross_entropy
from mobilenet_lab.tasks.metric_logging import is_logged_step, log_epoch, log_step_now
from mobilenet_lab.tasks.metrics import ClassificationMetrics
from mobilenet_lab.tasks.network_module import NetworkModule
from mobilenet_lab.tasks.quality_metrics import QualityMetrics

log = logging.getLogger(__name__)


class ImageClassifier(NetworkModule):
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
        class_weights: Weights in the training loss, by class name or as a list in the order of `classes`, or
            "balanced" for weights inversely proportional to `class_counts`; None for equal weights.
        class_counts: Number of training images per class.
        optimizer: Builds the optimizer from parameter groups; None for SGD with Nesterov momentum and a
            learning rate of 0.1.
        scheduler: Builds a schedule, or Lightning's dictionary of one, from the optimizer and, if it has that
            parameter, `total_steps`; it may return None for a constant learning rate. None for one cycle up
            to the optimizer's learning rate. See `training.schedulers`.
        freeze_stages, freeze_epochs, backbone_lr_factor: See `NetworkModule.set_network`.
        cpu_layers: Whether to use the faster implementations of layers in `models.cpu_layers`.
        compile: Mode of `torch.compile`; None does not compile.

    Attributes:
        val_quality, test_quality: Statistics of the latest validation and test; None before the first one.

    Raises:
        InputError: The network does not exist or has too few stages, or the class weights do not fit the
            classes.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | None = None,
        classes: Sequence[str] = tuple("0123456789"),
        preprocessing: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        class_weights: Weights | None = None,
        class_counts: Sequence[int] | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        freeze_stages: int | str = 0,
        freeze_epochs: int | None = None,
        backbone_lr_factor: float = 1.0,
        cpu_layers: bool = True,
        compile: str | None = None,
    ) -> None:
        super().__init__()
        model, classes = {"network": "mobilenet_v2", **(model or {})}, list(classes)
        check_class_names(classes, "classes")
        preprocessing = dict(MNIST_PREPROCESSING if preprocessing is None else preprocessing)
        data = dict(MNIST_DATA if data is None else data)
        self.save_hyperparameters("model", "classes", "preprocessing", "data")
        network = network_for(model, classes, preprocessing, cpu_layers)
        self.set_network(network, optimizer, scheduler, freeze_stages, freeze_epochs, backbone_lr_factor)
        # The method, as a module would be a second copy of the weights in every checkpoint
        self._compiled = torch.compile(self.network.forward, mode=compile, dynamic=False) if compile else None
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor | None
        weights = class_weight_tensor(class_weights, class_counts, classes)
        self.register_buffer("class_weights", weights, persistent=False)
        self._logged_step = -1
        self.train_metrics = ClassificationMetrics(len(classes))
        self.val_metrics = QualityMetrics(classes, preprocessing)
        self.test_metrics = QualityMetrics(classes, preprocessing)
        self.val_quality: Quality | None = None
        self.test_quality: Quality | None = None

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
                log.warning(
                    "task.compile: the network cannot be compiled here; running without it: %s", reason
                )
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
        if is_logged_step(self.trainer) and step != self._logged_step:
            self._logged_step = step  # with gradient accumulation, a step has several batches
            accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
            log_step_now(self, loss.detach(), accuracy)
        return loss

    def on_train_epoch_start(self) -> None:
        """Freeze or unfreeze stages, and reset the metrics."""
        super().on_train_epoch_start()
        self.train_metrics.reset()

    def on_train_epoch_end(self) -> None:
        """Log loss and accuracy of the epoch, and step the `plateau` schedule."""
        log_epoch(self, "train", self.train_metrics.compute())
        scheduler = self.lr_schedulers()
        # An epoch may end without a validation.
        if isinstance(scheduler, ReduceLROnPlateau) and "val/loss" in self.trainer.callback_metrics:
            scheduler.step(self.trainer.callback_metrics["val/loss"])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Update the metrics with a batch."""
        self._evaluation_step(batch, self.val_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracy, and keep the statistics of the predictions."""
        self.val_quality = self._log_quality("val", self.val_metrics)
        self.val_metrics.reset()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Update the metrics with a batch."""
        self._evaluation_step(batch, self.test_metrics)

    def on_test_epoch_start(self) -> None:
        """Reset the metrics."""
        self.test_metrics.reset()

    def on_test_epoch_end(self) -> None:
        """Log loss and accuracy, and keep the statistics of the predictions."""
        self.test_quality = self._log_quality("test", self.test_metrics)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the probabilities of each class, shape (N, num_classes)."""
        return self(batch[0]).softmax(dim=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the metrics of the current epoch, summed over all ranks, and what a resumed run must match."""
        checkpoint[state.TRAIN_METRICS] = self.train_metrics.to_checkpoint()
        checkpoint[state.NUM_THREADS] = torch.get_num_threads()
        if self.trainer.optimizers:
            checkpoint[state.OPTIMIZER_NAME] = type(self.trainer.optimizers[0]).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the metrics of the current epoch, on rank 0 only: they are sums over all ranks."""
        if self.global_rank == 0:
            self.train_metrics.restore(state.train_metrics(checkpoint))

    def panels(self, stage: str) -> Panels:
        """Return what a dashboard shows after a validation or a test.

        Args:
            stage: "val" or "test".
        """
        quality = self.val_quality if stage == "val" else self.test_quality
        return Panels() if quality is None else quality_panels(stage, quality)

    def batch_panels(self, batch: tuple[Tensor, Tensor]) -> Panels:
        """Return what a dashboard shows of a training batch."""
        return batch_panels(*batch, self.hparams["classes"], self.hparams["preprocessing"])

    def _evaluation_step(self, batch: tuple[Tensor, Tensor], metrics: QualityMetrics) -> None:
        images, labels = batch
        logits = self(images)
        metrics.update(F.cross_entropy(logits, labels), logits, labels, images)

    def _log_quality(self, stage: str, metrics: QualityMetrics) -> Quality:
        quality = metrics.quality()
        log_epoch(self, stage, metrics.compute(), quality_scalars(stage, quality))
        return quality

"""The LightningModule of a network with one optimizer: groups of parameters, schedule, frozen stages."""

import logging
from collections.abc import Callable
from typing import Any, Self

from lightning.pytorch import LightningModule
from lightning_utilities.core.rank_zero import rank_zero_only
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mobilenet_lab.runtime.lightning_internals import wrap_model_again
from mobilenet_lab.tasks.defaults import default_optimizer, default_scheduler
from mobilenet_lab.tasks.freezing import Freezing
from mobilenet_lab.tasks.optimization import clip_gradients, parameter_groups, scale_rates, with_schedule

log = logging.getLogger(__name__)


class NetworkModule(LightningModule):
    """A network that is trained by one optimizer with a schedule, and may be frozen in part.

    A subclass sets `network` by `set_network`, and defines the steps.

    Attributes:
        network: The network.
        freezing: The stages that are frozen.
        backbone_lr_factor: See `set_network`.
    """

    network: nn.Module

    def set_network(
        self,
        network: nn.Module,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        freeze_stages: int | str = 0,
        freeze_epochs: int | None = None,
        backbone_lr_factor: float = 1.0,
    ) -> None:
        """Set the network and how it is trained.

        Args:
            network: The network.
            optimizer: Builds the optimizer from parameter groups; None for `defaults.default_optimizer`.
            scheduler: Builds a schedule; None for `defaults.default_scheduler`.
            freeze_stages: Number of the first stages that are frozen, or "backbone" for all but the
                classifier; see `models.stages`.
            freeze_epochs: Epochs after which they are unfrozen; None freezes them for the whole run.
            backbone_lr_factor: Learning rate of the backbone relative to that of the classifier, in (0, 1].

        Raises:
            InputError: The network has too few stages.
        """
        self.network = network
        self.freezing = Freezing(network, freeze_stages, freeze_epochs)
        self.backbone_lr_factor = backbone_lr_factor
        self._optimizer = optimizer or default_optimizer
        self._scheduler = scheduler or default_scheduler

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; frozen stages stay in evaluation mode during `Trainer.fit`."""
        super().train(mode)
        if mode:
            self.freezing.keep_mode()
        return self

    def on_train_start(self) -> None:
        """Freeze or unfreeze stages when a run starts, or resumes within an epoch."""
        self._start_epoch()

    def on_train_epoch_start(self) -> None:
        """Freeze or unfreeze stages."""
        self._start_epoch()

    def on_train_end(self) -> None:
        """Give all modules the same mode."""
        self.freezing.stop()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's groups of parameters; see `optimization.parameter_groups`."""
        later = self.freezing.parameters if self.freezing.is_temporary else []
        return parameter_groups(self.network, later, self.backbone_lr_factor)

    def configure_optimizers(self) -> Any:
        """Build the optimizer, and its schedule over all steps."""
        optimizer = scale_rates(self._optimizer(self.parameter_groups()))
        return with_schedule(optimizer, self._scheduler, self.trainer)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients; see `optimization.clip_gradients`."""
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step the schedule, except `plateau`: Lightning would step it after the checkpoint of the epoch."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def _start_epoch(self) -> None:
        epoch = self.current_epoch
        if not self.freezing.start_epoch(epoch):
            return
        wrap_model_again(self.trainer)
        if epoch and epoch == self.freezing.epochs:
            rank_zero_only(log.info)("epoch %d: all stages train from now on", epoch + 1)

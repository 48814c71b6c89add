"""Log metrics at once, with the steps that make the logs of a resumed run continuous.

`LightningModule.log` writes the metrics of an epoch after the checkpoint of its end. A run that is killed in
between would resume without them.
"""

from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from mobilenet_lab.checkpoints.state import LR_FACTOR
from mobilenet_lab.runtime.lightning_internals import is_accumulating, is_resumable_step


def is_logged_step(trainer: Trainer) -> bool:
    """Return whether `trainer.log_every_n_steps` selects the current training step."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(every) and (trainer.global_step + 1) % every == 0


def log_step_now(module: LightningModule, loss: Tensor, accuracy: Tensor) -> None:
    """Log loss, accuracy and learning rate of a training step, and the rate of the backbone if it differs."""
    groups = module.trainer.optimizers[0].param_groups
    values = {
        "step/loss": float(loss),
        "step/accuracy": float(accuracy),
        "step/learning_rate": groups[0]["lr"],
    }
    if own := [group["lr"] for group in groups if LR_FACTOR in group]:
        values["step/backbone_learning_rate"] = own[0]
    log_now(module, values, module.global_step)


def log_epoch(
    module: LightningModule,
    stage: str,
    values: Mapping[str, Tensor],
    details: Mapping[str, float] | None = None,
) -> None:
    """Log loss and accuracy of an epoch, and make them known to callbacks.

    Args:
        module: The module that measured them.
        stage: "train", "val" or "test".
        values: The metrics of all ranks; `loss` and `accuracy` are used.
        details: Other metrics by full name, for the loggers only.
    """
    trainer = module.trainer
    # `trainer.test` and `trainer.validate` return what Lightning logs, which it does after the last hook.
    is_fit = trainer.state.fn == TrainerFn.FITTING
    logger = False if is_fit else None  # None: if there is one
    # The values are those of all ranks already; `sync_dist` only keeps Lightning from warning.
    module.log(f"{stage}/loss", values["loss"], logger=logger, sync_dist=True)
    module.log(f"{stage}/accuracy", values["accuracy"], logger=logger, prog_bar=True, sync_dist=True)
    if not is_fit:
        log_now(module, details or {}, trainer.global_step)
    elif not trainer.sanity_checking:
        main = {f"{stage}/{name}": float(values[name]) for name in ("loss", "accuracy")}
        row = {"epoch": trainer.current_epoch, **main, **(details or {})}
        log_now(module, row, epoch_step(trainer, stage))


def log_now(module: LightningModule, values: Mapping[str, float], step: int) -> None:
    """Log values, if there are any, to all loggers."""
    for logger in module.loggers if values else ():
        logger.log_metrics(dict(values), step=step)


def epoch_step(trainer: Trainer, stage: str) -> int:
    """Return the step to log the metrics of an epoch of `trainer.fit` with.

    Usually it is the last step done, as in Lightning. It is the next one, which a resumed run logs again,

    - for metrics that exist only because a limit ended the run within an epoch, and
    - while gradients are being accumulated for this step.
    """
    is_premature = not trainer.is_last_batch if stage == "train" else is_resumable_step(trainer)
    return trainer.global_step - (not is_premature and not is_accumulating(trainer))

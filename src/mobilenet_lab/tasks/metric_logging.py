"""Log metrics at once, with the steps that make the logs of a resumed run continuous.

`LightningModule.log` writes the metrics of an epoch after the checkpoint of its end. A run that is killed in
between would resume without them.
"""

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from mobilenet_lab.runtime.lightning_internals import is_accumulating, is_resumable_step


def log_step_now(module: LightningModule, loss: Tensor, accuracy: Tensor) -> None:
    """Log loss, accuracy and learning rate of a training step."""
    rate = module.trainer.optimizers[0].param_groups[0]["lr"]
    values = {"step/loss": float(loss), "step/accuracy": float(accuracy), "step/learning_rate": rate}
    _log(module, values, module.global_step)


def log_epoch_now(module: LightningModule, stage: str, values: dict[str, float]) -> None:
    """Log the metrics of an epoch of `trainer.fit`.

    Args:
        module: The module that measured them.
        stage: "train" or "val".
        values: Metrics by name, without the stage.
    """
    trainer = module.trainer
    if trainer.sanity_checking:
        return
    metrics = {f"{stage}/{name}": value for name, value in values.items()}
    _log(module, {"epoch": trainer.current_epoch, **metrics}, _epoch_step(trainer, stage))


def _log(module: LightningModule, values: dict[str, float], step: int) -> None:
    for logger in module.loggers:
        logger.log_metrics(values, step=step)


def _epoch_step(trainer: Trainer, stage: str) -> int:
    """Return the step to log the metrics of an epoch with.

    Usually it is the last step done, as in Lightning. It is the next one, which a resumed run logs again,

    - for metrics that exist only because a limit ended the run within an epoch, and
    - while gradients are being accumulated for this step.
    """
    is_premature = not trainer.is_last_batch if stage == "train" else is_resumable_step(trainer)
    return trainer.global_step - (not is_premature and not is_accumulating(trainer))

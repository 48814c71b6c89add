"""TensorBoard's custom charts and its table of runs."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger


def add_charts(trainer: Trainer) -> None:
    """Show training and validation on one chart, on the page Custom Scalars."""
    charts = {metric: ["Multiline", [f"train/{metric}", f"val/{metric}"]] for metric in ("accuracy", "loss")}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            logger.experiment.add_custom_scalars({"training and validation": charts})


def log_hparams(trainer: Trainer, values: dict[str, Any], metrics: dict[str, float]) -> None:
    """Add the run to the table of the page HParams.

    Args:
        trainer: The trainer of the run.
        values: Hyperparameters, numbers and strings.
        metrics: Final metrics, by name.
    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(values, metrics, step=trainer.global_step)
            logger.save()

"""One training run: from a checked configuration to a run folder with weights and results."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig

from mobilenet_lab.config.nested import target_name


def lay_out_tensorboard(trainer: Trainer) -> None:
    """Draw training and validation on one chart, on TensorBoard's page Custom Scalars."""
    charts = {
        quantity: ["Multiline", [f"train/{quantity}", f"val/{quantity}"]] for quantity in ("accuracy", "loss")
    }
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            logger.experiment.add_custom_scalars({"training and validation": charts})


def log_hyperparameters(cfg: DictConfig, trainer: Trainer, result: dict[str, Any]) -> None:
    """The same flat keys in every run, or TensorBoard's HParams page would show one run's columns only."""
    values = {
        **{
            f"model.{key}": value if isinstance(value, int | float) else str(value)
            for key, value in cfg.model.items()
        },
        "data": target_name(cfg.data.source),
        "image_size": cfg.data.image_size,
        "channels": cfg.data.channels,
        "batch_size": cfg.data.batch_size,
        "augmentation": target_name(cfg.augmentation),
        "optimizer": target_name(cfg.optimizer),
        "learning_rate": cfg.optimizer.lr,
        "weight_decay": cfg.optimizer.weight_decay,
        "scheduler": target_name(cfg.scheduler),
        "epochs": cfg.trainer.max_epochs,
        "precision": str(cfg.trainer.precision),
        "seed": cfg.seed,
        "macs": result["macs"],
    }
    metrics = {key: result[key] for key in ("val/accuracy", "test/accuracy") if result[key] is not None}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(values, metrics, step=trainer.global_step)
            logger.save()

"""One training run: from a checked configuration to a run folder with weights and results."""

import math
from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig
from torch.optim import Optimizer

from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.callbacks.max_steps import MaxSteps
from mobilenet_lab.callbacks.signals import StopOnSignal
from mobilenet_lab.checkpoints.writer import AtomicCheckpointIO
from mobilenet_lab.config.nested import target_name
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.splits import SPLIT_KEYS
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier


def build_datamodule(cfg: DictConfig) -> ImageDataModule:
    datamodule: ImageDataModule = instantiate(
        cfg.data,
        augmentation=instantiate(cfg.augmentation, _convert_="all"),
        mixing=instantiate(cfg.mixing),
        seed=cfg.seed,
        _convert_="all",
    )
    datamodule.prepare_data()
    datamodule.setup()
    validates = len(datamodule.parts["val"]) > 0 and cfg.trainer.limit_val_batches > 0
    if target_name(cfg.scheduler) == "plateau" and not validates:
        raise InputError(
            "scheduler=plateau: needs validation: data.val_split and trainer.limit_val_batches above 0"
        )
    return datamodule


def build_model(cfg: DictConfig, datamodule: ImageDataModule) -> ImageClassifier:
    source = datamodule.source
    counts = None
    if cfg.model.get("class_weights") == "balanced":
        counts = datamodule.parts["train"].count_classes(len(source.classes))
    return instantiate(
        cfg.model,
        classes=source.classes,
        class_counts=counts,
        preprocessing=datamodule.preprocessing.arguments(),
        data={
            "name": source.name,
            "native_size": source.native_size,
            "mnist_style": source.mnist_style,
            "fit": cfg.data.source.get("fit", "pad"),
            "images": len(datamodule.parts["train"].dataset),  # that were divided
            **{key: cfg.data[key] for key in SPLIT_KEYS},
        },
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        scheduler=build_schedule(cfg),
        _convert_="all",
    )


def build_schedule(cfg: DictConfig) -> Callable[..., dict[str, Any]]:
    """Return the factory of the schedule; its total steps are at most `trainer.max_steps`."""
    schedule: Callable[..., dict[str, Any]] = instantiate(cfg.scheduler, _convert_="all")
    max_steps = cfg.trainer.max_steps if cfg.trainer.max_steps > 0 else math.inf

    def limited(optimizer: Optimizer, total_steps: float) -> dict[str, Any]:
        return schedule(optimizer, total_steps=min(total_steps, max_steps))

    return limited


def build_trainer(cfg: DictConfig, own: list[Callback], has_validation: bool, step: int) -> Trainer:
    """Build the trainer of a run whose first step is the one after `step`."""
    callbacks: list[Callback] = instantiate_group(cfg, "callbacks")
    if not has_validation or cfg.trainer.limit_val_batches == 0:
        callbacks = [c for c in callbacks if not str(getattr(c, "monitor", "")).startswith("val/")]
    if not cfg.trainer.enable_progress_bar:  # Lightning refuses both
        callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
    if cfg.trainer.max_steps > 0:
        callbacks.append(MaxSteps(cfg.trainer.max_steps))
    callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint))  # it keeps the others' state
    return instantiate(
        cfg.trainer,
        max_steps=-1,  # see MaxSteps
        callbacks=[*own, *callbacks, StopOnSignal()],
        logger=_build_loggers(cfg, step),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=cfg.output_dir,
        # cuDNN's fastest algorithm is another from run to run.
        benchmark=cfg.trainer.benchmark and not cfg.trainer.deterministic,
        _convert_="all",
    )


def _build_loggers(cfg: DictConfig, step: int) -> list[Any]:
    """The loggers; TensorBoard shall forget what an interrupted run logged from `step` on."""
    nodes = (node for node in (cfg.get("logger") or {}).values() if node is not None)
    return [
        instantiate(
            node,
            **({"purge_step": step} if step and target_name(node) == TensorBoardLogger.__name__ else {}),
            _convert_="all",
        )
        for node in nodes
    ]


def instantiate_group(cfg: DictConfig, group: str) -> list[Any]:
    """The objects of a group of named ones; a group or member may be deleted or null."""
    members = instantiate(cfg.get(group) or {}, _convert_="all")
    return [member for member in members.values() if member is not None]

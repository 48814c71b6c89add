"""Build the objects of a run from its configuration."""

import inspect
from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, ListConfig

from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.callbacks.max_steps import MaxSteps
from mobilenet_lab.callbacks.monitor_check import MonitorCheck
from mobilenet_lab.callbacks.signals import StopOnSignal
from mobilenet_lab.checkpoints.writer import AtomicCheckpointIO
from mobilenet_lab.config.monitors import METRICS, TASK, is_of_validation
from mobilenet_lab.config.nested import builds
from mobilenet_lab.config.value_kinds import is_integer
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.initial_weights import network_settings
from mobilenet_lab.training.instantiation import build_member


def build_datamodule(cfg: DictConfig) -> ImageDataModule:
    """Build the data module, download the data set if it is missing, and open it."""
    datamodule: ImageDataModule = instantiate(
        cfg.data,
        augmentation=instantiate(cfg.augmentation, _convert_="all"),
        mixing=instantiate(cfg.mixing),
        seed=cfg.seed,
        _convert_="all",
    )
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def build_model(cfg: DictConfig, datamodule: ImageDataModule) -> ImageClassifier:
    """Build the task with its network, for the images and classes of an open data module."""
    counts = None
    if cfg.task.get("class_weights") == "balanced":
        counts = datamodule.subsets["train"].count_classes(len(datamodule.source.classes))
    return instantiate(
        cfg.task,
        model=network_settings(cfg),
        class_counts=counts,
        **datamodule.describe(),
        optimizer=instantiate(with_floats(cfg.optimizer), _convert_="all"),
        scheduler=build_schedule(cfg),
        _convert_="all",
    )


def with_floats(optimizer: DictConfig) -> DictConfig:
    """Return the configuration with floats in its lists: PyTorch refuses integers as `betas`."""
    floats = optimizer.copy()
    for key, value in optimizer.items():
        if isinstance(value, ListConfig):
            floats[key] = [float(number) if is_integer(number) else number for number in value]
    return floats


def build_schedule(cfg: DictConfig) -> Callable[..., Any]:
    """Return the factory of the schedule; the total steps that it gets are at most `trainer.max_steps`."""
    schedule: Callable[..., Any] = instantiate(cfg.scheduler, _convert_="all")
    max_steps = cfg.trainer.max_steps
    if max_steps == -1 or "total_steps" not in inspect.signature(schedule).parameters:
        return schedule
    return lambda optimizer, total_steps: schedule(optimizer, total_steps=min(total_steps, max_steps))


def build_trainer(cfg: DictConfig, own: list[Callback], has_validation: bool, step: int) -> Trainer:
    """Build the trainer.

    Args:
        cfg: The configuration.
        own: Callbacks that every run has.
        has_validation: Whether there are validation images.
        step: Number of steps that a resumed run has done, otherwise 0.
    """
    named = {key: build_member(key, node, Callback) for key, node in _members(cfg, "callbacks")}
    if not has_validation or cfg.trainer.limit_val_batches == 0:
        named = {key: c for key, c in named.items() if not is_of_validation(_monitor(c))}
    # The metrics of other classes than ours are known only when they are logged.
    known = METRICS if cfg.task._target_ == TASK else ()
    monitors = {f"{key}.monitor": m for key, c in named.items() if (m := _monitor(c)) and m not in known}
    callbacks = list(named.values())
    if not cfg.trainer.enable_progress_bar:  # Lightning refuses a progress bar then
        callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
    if cfg.trainer.max_steps > 0:
        callbacks.append(MaxSteps(cfg.trainer.max_steps))
    # LastCheckpoint saves the state of the other callbacks, so it runs after them.
    callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint))
    return instantiate(
        cfg.trainer,
        max_steps=-1,  # see MaxSteps
        num_sanity_val_steps=cfg.trainer.num_sanity_val_steps or int(bool(monitors)),
        callbacks=[*own, MonitorCheck(monitors), *callbacks, StopOnSignal()],
        logger=_build_loggers(cfg, step),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=cfg.output_dir,
        enable_model_summary=False,  # log_summary logs a table by stage
        # cuDNN's fastest algorithm may differ between runs.
        benchmark=cfg.trainer.benchmark and not cfg.trainer.deterministic,
        _convert_="all",
    )


def _build_loggers(cfg: DictConfig, step: int) -> list[Logger]:
    """Build the loggers; TensorBoard discards what an interrupted run logged from `step` on.

    The first start of a run declares its step, too: TensorBoard discards nothing at the first one it reads.
    """
    return [
        build_member(key, node, Logger, **({"purge_step": step} if builds(node, TensorBoardLogger) else {}))
        for key, node in _members(cfg, "logger")
    ]


def _members(cfg: DictConfig, group: str) -> list[tuple[str, DictConfig]]:
    """Return the members of a group of named objects with their keys; group and members may be null."""
    members = cfg.get(group) or {}
    return [(f"{group}.{name}", node) for name, node in members.items() if node is not None]


def _monitor(callback: Callback) -> str:
    """Return the metric that a callback monitors, or an empty string."""
    monitor = getattr(callback, "monitor", None)
    return monitor if isinstance(monitor, str) else ""

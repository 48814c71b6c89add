"""Check the settings that depend on the data set: are the configured sizes and counts possible?"""

import logging

import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.config.monitors import is_of_validation
from mobilenet_lab.config.nested import builds
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.epoch_order import BALANCED
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.hardware_checks import check_workers
from mobilenet_lab.training.schedule_checks import check_schedule
from mobilenet_lab.training.split_checks import warn_of_ignored_splits

log = logging.getLogger(__name__)
# Images per rank; BatchNorm needs two for a variance.
MIN_IMAGES = {"train": 2, "val": 1, "test": 1}


def check_data(cfg: DictConfig, datamodule: ImageDataModule, num_ranks: int) -> None:
    """Refuse settings that Lightning would refuse in the middle of a run, or ignore.

    Args:
        cfg: The checked configuration of a training run.
        datamodule: The open data.
        num_ranks: Number of processes that share the data.

    Raises:
        InputError: A setting does not fit the images.
    """
    check_workers(cfg.data.num_workers)
    warn_of_ignored_splits(datamodule)
    data, trainer, train = cfg.data, cfg.trainer, datamodule.subsets["train"]
    if data.max_train_samples is not None and data.max_train_samples > len(train):
        raise InputError(
            f"data.max_train_samples={data.max_train_samples}: there are only {len(train):,} training "
            "images; use at most that"
        )
    # One blank image, since only the preprocessing knows which sizes it can resize.
    size = datamodule.source.native_size
    datamodule.preprocessing(torch.zeros(1, 1, size, size, dtype=torch.uint8))
    batches = {
        name: _count_batches(cfg, name, subset, num_ranks)
        for name, subset in datamodule.subsets.items()
        if trainer[f"limit_{name}_batches"] != 0 and (len(subset) > 0 or name == "train")
    }
    if "monitor" in cfg.scheduler and "val" not in batches:
        raise InputError(
            f"scheduler.monitor={cfg.scheduler.monitor}: there is no validation; set data.val_split and "
            "trainer.limit_val_batches above 0"
        )
    if "val" not in batches:
        _check_no_monitor_of_validation(cfg)
    if data.get("sampling") == cfg.task.get("class_weights") == BALANCED:
        rank_zero_only(log.warning)(
            "task.class_weights=balanced: data.sampling=balanced already reads every class equally often, so "
            "that rare classes now count more than common ones; use one of them"
        )
    _check_steps(trainer, batches["train"])
    check_schedule(cfg, batches["train"])
    if data.batch_size * num_ranks > len(train):
        shared = "" if num_ranks == 1 else f" for {num_ranks} processes"
        raise InputError(
            f"data.batch_size={data.batch_size}: there are only {len(train)} training images{shared}; "
            f"use data.batch_size={len(train) // num_ranks} or less"
        )


def _count_batches(cfg: DictConfig, name: str, subset: Subset, num_ranks: int) -> int:
    """Return the number of batches per epoch on the rank with the fewest.

    Raises:
        InputError: There are too few images, or the limit leaves no batch.
    """
    needed = MIN_IMAGES[name] * num_ranks
    if len(subset) < needed:
        reason = f"{num_ranks} processes" if num_ranks > 1 else "BatchNorm"
        raise InputError(f"data: {len(subset)} {name} images are too few for {reason}; use at least {needed}")
    size = cfg.data.batch_size if name == "train" else cfg.data.eval_batch_size
    batches = len(BatchSampler(subset.index_range, size, 0, name == "train", num_ranks - 1, num_ranks))
    limit = cfg.trainer[f"limit_{name}_batches"]
    if not isinstance(limit, float):
        return min(batches, limit)
    if int(batches * limit) == 0:
        raise InputError(
            f"trainer.limit_{name}_batches={limit}: leaves none of {batches} batches; use a larger fraction"
        )
    return int(batches * limit)


def _check_no_monitor_of_validation(cfg: DictConfig) -> None:
    """Refuse a callback that depends on a validation; without one, the best checkpoint is the last one."""
    for name, node in (cfg.get("callbacks") or {}).items():
        monitor = node.get("monitor") if node is not None else None
        if isinstance(monitor, str) and is_of_validation(monitor) and not builds(node, BestCheckpoint):
            raise InputError(
                f"callbacks.{name}.monitor={monitor}: there is no validation; set data.val_split and "
                "trainer.limit_val_batches above 0, or monitor train/loss"
            )


def _check_steps(trainer: DictConfig, batches: int) -> None:
    interval = trainer.val_check_interval
    if isinstance(interval, int) and interval > batches and trainer.check_val_every_n_epoch is not None:
        raise InputError(
            f"trainer.val_check_interval={interval}: an epoch has {batches:,} batches; use at most that, or "
            "trainer.check_val_every_n_epoch=null to count batches across epochs"
        )
    if trainer.accumulate_grad_batches > batches:
        rank_zero_only(log.warning)(
            "trainer.accumulate_grad_batches=%d: an epoch has only %d batches, which make one step",
            trainer.accumulate_grad_batches,
            batches,
        )

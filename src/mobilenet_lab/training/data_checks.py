"""What only the opened data tell of a configuration: whether its counts of images and batches fit them."""

import logging
from collections.abc import Mapping

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import Subset
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)
LEAST = {"train": 2, "val": 1, "test": 1}  # images a rank: BatchNorm needs two for a variance


def check_data(cfg: DictConfig, parts: Mapping[str, Subset], native_size: int, num_ranks: int) -> None:
    """Refuse in one line what Lightning would refuse in the middle of a run, or do in configure_logging.

    Args:
        cfg: A training run's checked configuration.
        parts: The images of "train", "val" and "test".
        native_size: Pixels of a image's longer side, as read.
        num_ranks: Processes that share them.

    Raises:
        InputError: a setting does not fit the images.
    """
    data, trainer = cfg.data, cfg.trainer
    if data.max_train_samples is not None and data.max_train_samples > len(parts["train"]):
        raise InputError(
            f"data.max_train_samples={data.max_train_samples}: there are {len(parts['train']):,} to train on"
        )
    if data.resize == "pad" and native_size > data.image_size:
        raise InputError(
            f"data.image_size={data.image_size}: images of {native_size} pixels cannot be padded to it"
        )
    batches = {}
    for name, part in parts.items():
        limit = trainer[f"limit_{name}_batches"]
        if limit == 0 or (len(part) == 0 and name != "train"):
            continue
        if len(part) < LEAST[name] * num_ranks:
            raise InputError(
                f"data: {len(part)} images for {name} are too few for "
                f"{f'{num_ranks} processes' if num_ranks > 1 else 'a variance'}; "
                f"at least {LEAST[name] * num_ranks} are needed"
            )
        batches[name] = _batches(data, name, part, num_ranks)
        if isinstance(limit, float):
            batches[name] = int(batches[name] * limit)
            if batches[name] == 0:
                raise InputError(f"trainer.limit_{name}_batches={limit}: leaves none of the batches")
        else:
            batches[name] = min(batches[name], limit)
    _check_steps(trainer, batches["train"])
    if data.batch_size * num_ranks > len(parts["train"]):
        who = "there are" if num_ranks == 1 else f"{num_ranks} processes share"
        raise InputError(
            f"data.batch_size={data.batch_size}: {who} {len(parts['train'])} images to train on; "
            f"use data.batch_size={len(parts['train']) // num_ranks} or less"
        )


def _batches(data: DictConfig, name: str, part: Subset, num_ranks: int) -> int:
    """An epoch's batches of the rank that has the fewest."""
    size = data.batch_size if name == "train" else data.eval_batch_size
    return len(BatchSampler(part.index_range, size, 0, name == "train", num_ranks - 1, num_ranks))


def _check_steps(trainer: DictConfig, batches: int) -> None:
    interval = trainer.val_check_interval
    if isinstance(interval, int) and interval > batches and trainer.check_val_every_n_epoch is not None:
        raise InputError(
            f"trainer.val_check_interval={interval}: an epoch has {batches:,} batches; use at most that, or "
            "trainer.check_val_every_n_epoch=null to count on over the epochs"
        )
    if trainer.accumulate_grad_batches > batches:
        rank_zero_only(log.warning)(
            "trainer.accumulate_grad_batches=%d: an epoch has %d batches, and makes one step",
            trainer.accumulate_grad_batches,
            batches,
        )

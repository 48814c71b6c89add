"""Warn about settings that count steps and do not fit the length of the run."""

import logging
import math

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from mobilenet_lab.callbacks.ema import EMAWeights
from mobilenet_lab.config.nested import builds, callbacks, target_of
from mobilenet_lab.training.schedulers import cycle_bounds, range_test

log = logging.getLogger(__name__)


@rank_zero_only
def check_schedule(cfg: DictConfig, batches: int) -> None:
    """Log what the run is too short for. It is no error: short runs try out the settings of long ones.

    Args:
        cfg: The checked configuration.
        batches: Training batches per epoch.
    """
    _check_freezing(cfg)
    steps = _count_steps(cfg.trainer, batches)
    if math.isinf(steps):
        return
    if (warmup := cfg.scheduler.get("warmup_steps") or 0) >= steps:
        log.warning(
            "scheduler.warmup_steps=%d: the run has only %d steps, so that the learning rate never reaches "
            "optimizer.lr=%s",
            warmup,
            steps,
            cfg.optimizer.get("lr"),
        )
    if cycles := cfg.scheduler.get("cycles"):
        bounds = cycle_bounds(steps, cycles)
        if empty := len(bounds) - len(set(bounds)):
            log.warning(
                "scheduler.cycles=%s: the run has only %d steps, which leave none for %d of the cycles",
                cycles,
                steps,
                empty,
            )
    for node in callbacks(cfg):
        if builds(node, EMAWeights) and node.start_step >= steps:
            log.warning(
                "start_step=%d of the averaged weights: the run has only %d steps, so that the average never "
                "begins",
                node.start_step,
                steps,
            )


def _check_freezing(cfg: DictConfig) -> None:
    stages, epochs, limit = (
        cfg.task.get("freeze_stages"),
        cfg.task.get("freeze_epochs"),
        cfg.trainer.max_epochs,
    )
    if not stages:
        if epochs is not None:
            log.warning(
                "task.freeze_epochs=%d: is ignored, because task.freeze_stages=0 freezes nothing", epochs
            )
        return
    if cfg.model.get("weights") is None and cfg.resume is None:
        log.warning("task.freeze_stages=%s: freezes random weights, because model.weights is null", stages)
    if epochs is not None and target_of(cfg.scheduler) is range_test:
        log.warning(
            "task.freeze_epochs=%d: a range test tries each rate once, so stages must not unfreeze during "
            "it; set task.freeze_stages=0 task.freeze_epochs=null to find a rate for all layers",
            epochs,
        )
    elif epochs is not None and 0 < limit <= epochs:
        log.warning(
            "task.freeze_epochs=%d: trainer.max_epochs=%d ends the run before, so the stages stay frozen",
            epochs,
            limit,
        )


def _count_steps(trainer: DictConfig, batches: int) -> float:
    """Return the optimizer steps of the run, infinity if only its time is limited."""
    limit = math.inf if trainer.max_steps == -1 else trainer.max_steps
    per_epoch = -(-batches // trainer.accumulate_grad_batches)
    return min(limit, math.inf if trainer.max_epochs == -1 else per_epoch * trainer.max_epochs)

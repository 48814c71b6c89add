"""Find the checkpoint to resume from, and refuse one that does not fit the run."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.optim import Optimizer

from mobilenet_lab.callbacks.ema import EMAWeights
from mobilenet_lab.checkpoints.load import load_with_fallback
from mobilenet_lab.checkpoints.locate import find_checkpoint
from mobilenet_lab.checkpoints.network import network_from
from mobilenet_lab.checkpoints.state import (
    epochs_done,
    global_step,
    has_ema,
    hyper_parameters,
    is_plateau,
    num_threads,
    optimizer_name,
    parameter_counts,
)
from mobilenet_lab.checkpoints.training_state import cannot_resume, check_state
from mobilenet_lab.config.fingerprint import result_relevant_settings
from mobilenet_lab.config.nested import builds, callbacks, flatten, target_name
from mobilenet_lab.config.validate import AUTO
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.builders import with_floats
from mobilenet_lab.training.initial_weights import KEY, follows_latest, keep_initial_weights
from mobilenet_lab.training.settings_diff import (
    COSMETIC_KEYS,
    changed_keys,
    quoted,
    saved_settings,
    warn_about_changes,
)
from mobilenet_lab.training.split_checks import warn_of_mixed_splits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """The point from which a run resumes.

    Attributes:
        path: The checkpoint file.
        step: Optimizer steps done.
        num_threads: CPU threads of the run so far; None if the checkpoint does not say.
    """

    path: Path
    step: int
    num_threads: int | None


def find_resume_checkpoint(cfg: DictConfig) -> tuple[Path, dict[str, Any]] | None:
    """Return the checkpoint to resume from as (file, contents); None if the run starts from scratch.

    Raises:
        FileNotFoundError: The requested checkpoint does not exist.
        InputError: The checkpoint cannot be read.
    """
    if cfg.resume is None:
        return None
    where = cfg.resume
    if where == AUTO:
        where = cfg.output_dir
        if not RunFolder(Path(where)).has_resumable_checkpoint():
            return None
    checkpoint, path = load_with_fallback(find_checkpoint(where, "resume", prefer="last"))
    return path, checkpoint


def finished_result(cfg: DictConfig) -> dict[str, Any] | None:
    """Return the result in `output_dir` if a run with the same settings has finished there.

    Raises:
        InputError: A run with other settings has finished there and has left no checkpoint to resume from.
    """
    run = RunFolder(Path(cfg.output_dir))
    result, before = run.read_result(), saved_settings(run)
    if result is None:
        return None
    now = result_relevant_settings(cfg)
    if before is not None and follows_latest(now.get(KEY)):  # to this run, by now
        now[KEY] = before.get(KEY)
    if before is not None and not set(changed_keys(before, now)) - COSMETIC_KEYS:
        return result
    if not run.has_resumable_checkpoint() and not cfg.overwrite:
        raise InputError(
            f"resume=auto: {run} holds a finished run with other settings and no checkpoint to resume from; "
            "use another output_dir, or overwrite=true to replace the run"
        )
    return None


def check_resume(
    cfg: DictConfig,
    path: Path,
    checkpoint: dict[str, Any],
    model: ImageClassifier,
    datamodule: ImageDataModule,
) -> ResumePoint:
    """Check that a run can resume from a checkpoint, and warn about settings that changed.

    Args:
        cfg: The configuration of the resumed run.
        path: The checkpoint file.
        checkpoint: Its contents.
        model: The module of the resumed run.
        datamodule: The open data of the resumed run.

    Raises:
        InputError: Network, optimizer, schedule or length of the two runs do not fit each other.
    """
    network_from(checkpoint, path)
    _check_network(path, checkpoint, model)
    _check_optimizer(path, checkpoint, cfg)
    optimizer = instantiate(with_floats(cfg.optimizer), _convert_="all")(model.parameter_groups())
    _check_groups(path, checkpoint, optimizer)
    check_state(checkpoint, path, optimizer)
    _check_schedule(path, checkpoint, cfg)
    _check_length(path, checkpoint, cfg)
    keep_initial_weights(cfg, RunFolder.of_checkpoint(path))
    warn_about_changes(cfg, RunFolder.of_checkpoint(path), checkpoint)
    warn_of_mixed_splits(path, checkpoint, datamodule)
    return ResumePoint(path, global_step(checkpoint), num_threads(checkpoint))


def _check_network(path: Path, checkpoint: dict[str, Any], model: ImageClassifier) -> None:
    """Refuse another network; only the description of the data may change."""
    theirs, ours = hyper_parameters(checkpoint), dict(model.hparams)
    before, now = (flatten({k: v for k, v in some.items() if k != "data"}) for some in (theirs, ours))
    for key in changed_keys(before, now):
        raise InputError(
            f"resume={path}: the checkpoint has {quoted(key)}={quoted(before.get(key))}, but this run "
            f"has {key}={quoted(now.get(key))}; use the same value"
        )
    had, has = theirs["data"].get("images"), ours["data"]["images"]
    if had not in (None, has):
        log.warning("the data set had %s images and now has %s: the validation split changes", had, has)


def _check_optimizer(path: Path, checkpoint: dict[str, Any], cfg: DictConfig) -> None:
    optimizer = target_name(cfg.optimizer)
    before = optimizer_name(checkpoint)
    if before != optimizer:
        raise InputError(
            f"resume={path}: the checkpoint was trained with {quoted(before)}, but this run uses "
            f"{optimizer}; choose the same optimizer"
        )
    if has_ema(checkpoint) and not any(builds(node, EMAWeights) for node in callbacks(cfg)):
        raise InputError(f"resume={path}: the checkpoint holds averaged weights; add callbacks=ema")


def _check_groups(path: Path, checkpoint: dict[str, Any], optimizer: Optimizer) -> None:
    """Refuse other groups of parameters, which hold the state of the optimizer by position."""
    try:
        before = parameter_counts(checkpoint)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise cannot_resume(path) from error
    if before != [len(group["params"]) for group in optimizer.param_groups]:
        raise InputError(
            f"resume={path}: the checkpoint was trained with other groups of parameters; use its "
            "task.freeze_stages, task.freeze_epochs and task.backbone_lr_factor"
        )


def _check_schedule(path: Path, checkpoint: dict[str, Any], cfg: DictConfig) -> None:
    if is_plateau(checkpoint) != ("monitor" in cfg.scheduler):
        raise InputError(
            f"resume={path}: a run cannot switch between scheduler=plateau and another schedule; choose the "
            "scheduler that the checkpoint was trained with"
        )


def _check_length(path: Path, checkpoint: dict[str, Any], cfg: DictConfig) -> None:
    """Refuse a limit that the checkpoint has already reached."""
    # A run that was stopped between its last epoch and its result still has to be tested.
    is_finished = RunFolder.of_checkpoint(path).read_result() is not None
    progress = {"epochs": epochs_done(checkpoint), "steps": global_step(checkpoint)}
    for unit, done in progress.items():
        limit = cfg.trainer[f"max_{unit}"]
        if 0 < limit < done or (is_finished and limit == done):
            raise InputError(
                f"resume={path}: the checkpoint already has {done} {unit}; to train longer, use "
                f"trainer.max_{unit}={done + 1} or more"
            )

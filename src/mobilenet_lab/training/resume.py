"""One training run: from a checked configuration to a run folder with weights and results."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig

from mobilenet_lab.callbacks.ema import CURRENT_WEIGHTS, EMAWeights
from mobilenet_lab.checkpoints.load import load_with_fallback
from mobilenet_lab.checkpoints.locate import LAST, PREVIOUS, find_checkpoint, folder_of
from mobilenet_lab.checkpoints.network import network_from
from mobilenet_lab.checkpoints.state import check_state, epochs_done, schedule_in
from mobilenet_lab.config.fingerprint import result_relevant_settings
from mobilenet_lab.config.nested import builds, callbacks, flatten, shown, target_name
from mobilenet_lab.config.validate import AUTO
from mobilenet_lab.runs.folder import is_default_folder, result_in
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.settings_diff import COSMETIC_KEYS, changed_keys, settings_before, warn_of_changes

log = logging.getLogger(__name__)


def find_resume_checkpoint(cfg: DictConfig) -> tuple[Path | None, dict[str, Any] | None]:
    """The checkpoint to go on from, its file and what it holds; None where the run begins.

    Raises:
        FileNotFoundError: there is none where one was asked for.
        InputError: it cannot be read, or `auto` would look into a folder that is new every time.
    """
    if cfg.resume is None:
        return None, None
    where = cfg.resume
    if where == AUTO:
        if is_default_folder(cfg.output_dir):
            raise InputError("resume=auto: name the run's folder, output_dir=..., that it may find it again")
        where = cfg.output_dir
        if not any((Path(where) / "checkpoints" / name).is_file() for name in (LAST, PREVIOUS)):
            return None, None
    checkpoint, path = load_with_fallback(find_checkpoint(where, "resume", prefer="last"))
    return path, checkpoint


def result_of_finished(cfg: DictConfig) -> dict[str, Any] | None:
    """The result of a run that has nothing left to do, as it ended by the same settings."""
    folder = Path(cfg.output_dir)
    before = settings_before(folder)
    if before is None or set(changed_keys(before, result_relevant_settings(cfg))) - COSMETIC_KEYS:
        return None
    return result_in(folder)


def check_resume(cfg: DictConfig, checkpoint: dict[str, Any], model: ImageClassifier) -> None:
    """Refuse in one line what cannot go on, and say which setting does not take effect."""
    path = Path(cfg.resume)
    network_from(checkpoint, path)
    theirs, ours = checkpoint["hyper_parameters"], dict(model.hparams)
    # All that makes the network must be the same; the description of the data may change.
    before, now = (flatten({k: v for k, v in some.items() if k != "data"}) for some in (theirs, ours))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise InputError(
                f"resume={cfg.resume}: the checkpoint has {key}={shown(before.get(key))}, "
                f"this run {key}={shown(now.get(key))}"
            )
    optimizer = target_name(cfg.optimizer)
    if checkpoint.get("optimizer") != optimizer:
        raise InputError(
            f"resume={cfg.resume}: the checkpoint's optimizer is {checkpoint.get('optimizer')}, "
            f"this run's {optimizer}"
        )
    check_state(checkpoint, path, [p for group in model.parameter_groups() for p in group["params"]])
    if ("num_bad_epochs" in schedule_in(checkpoint)) != ("monitor" in cfg.scheduler):
        raise InputError(
            f"resume={cfg.resume}: scheduler=plateau and the others do not go on from each other; choose the "
            "scheduler that the run had"
        )
    had, has = theirs["data"].get("images"), ours["data"]["images"]
    if had not in (None, has):
        log.warning("the data set had %s images and now has %s: others are held out than so far", had, has)
    if CURRENT_WEIGHTS in checkpoint and not any(builds(node, EMAWeights) for node in callbacks(cfg)):
        raise InputError(
            f"resume={cfg.resume}: the checkpoint averages weights; go on with callbacks=ema, as that run did"
        )
    done = epochs_done(checkpoint)
    # A run that was stopped between its last epoch and its result has that left to do.
    is_finished = result_in(folder_of(path)) is not None
    if 0 < cfg.trainer.max_epochs < done or (is_finished and done == cfg.trainer.max_epochs):
        raise InputError(
            f"resume={cfg.resume}: the checkpoint has {done} epochs already; "
            f"go on with trainer.max_epochs={done + 1} or more"
        )
    step = checkpoint["global_step"]
    if 0 < cfg.trainer.max_steps < step or (is_finished and step == cfg.trainer.max_steps):
        raise InputError(
            f"resume={cfg.resume}: the checkpoint has {step} steps already; "
            f"go on with trainer.max_steps={step + 1} or more"
        )
    warn_of_changes(cfg, folder_of(path), checkpoint)


def wrap_restore_errors(trainer: Trainer, resume: Path) -> None:
    """Name the checkpoint where callbacks, schedules or loops cannot make use of their state in it."""
    connector = trainer._checkpoint_connector
    for name in ("_restore_modules_and_callbacks", "restore_training_state"):
        setattr(connector, name, _naming(resume, getattr(connector, name)))


def _naming(resume: Path, take_over: Callable[..., None]) -> Callable[..., None]:
    def take_over_or_name(*args: Any, **kwargs: Any) -> None:
        try:
            take_over(*args, **kwargs)
        except (InputError, torch.OutOfMemoryError):
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{resume}: no state of a run to go on from") from error

    return take_over_or_name

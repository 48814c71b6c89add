"""One training run: from a checked configuration to a run folder with weights and results."""

import json
import logging
import os
import re
import shlex
import signal
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from mobilenet_lab.allocator import keep_pages
from mobilenet_lab.amounts import check_amounts
from mobilenet_lab.callbacks.averaging import CURRENT_WEIGHTS
from mobilenet_lab.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from mobilenet_lab.callbacks.history import History
from mobilenet_lab.callbacks.ranks import EndTogether, SameSettings, meet_anew
from mobilenet_lab.callbacks.signals import EXIT_CODES, WORDS, StopOnSignal
from mobilenet_lab.checkpoint import (
    BEST,
    GIVEN_SETTINGS,
    LAST,
    LATEST,
    PREVIOUS,
    check_state,
    epochs_done,
    find_checkpoint,
    given_settings,
    load_checkpoint,
    load_or_previous,
    network_from,
    resume_command,
)
from mobilenet_lab.checkpoint_io import DurableCheckpointIO, copy_durably
from mobilenet_lab.classifier import ImageClassifier
from mobilenet_lab.complexity import count_macs, count_parameters
from mobilenet_lab.configuration import (
    AUTO,
    SMALL_PICTURE,
    settings_apart_from_folder,
    settings_that_count,
)
from mobilenet_lab.continuation import begin_logs
from mobilenet_lab.data.batches import SPLIT_KEYS
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.devices import check_machine
from mobilenet_lab.errors import EXIT_WRONG_INPUT, InputError, Stopped
from mobilenet_lab.report import draw_confusion, draw_curves, write_json

log = logging.getLogger(__name__)

TIMED_FOLDER = re.compile(r".*\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d")  # the default output_dir
MOST_CHANGES = 5  # that are listed
# What an observer chose, and no figure depends on
WATCHING = {
    "callbacks.checkpoint.every_n_train_steps",
    "data.cache",
    "data.num_workers",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.profiler",
}
RESULT, CURVES, CONFUSION = "result.json", "curves.png", "confusion.png"


def train(cfg: DictConfig) -> dict[str, Any]:
    """Run a configuration that `configuration.check` has accepted.

    Returns:
        What `result.json` holds; empty on every rank but the first.

    Raises:
        InputError: the machine lacks the accelerator asked for, or data or checkpoint cannot be used.
        FileNotFoundError: data or checkpoint are missing.
    """
    keep_pages()
    _silence()
    num_ranks = check_machine(cfg.trainer)
    seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    if cfg.model.get("stem_stride", 0) is None:
        cfg.model.stem_stride = 1 if cfg.data.image_size < SMALL_PICTURE else 2
    resume, checkpoint = _find_resumed(cfg)
    if checkpoint is not None and cfg.resume == AUTO and (result := _result_of_finished(cfg)):
        log.info("%s is finished already", cfg.output_dir)
        return result
    # "latest" will soon mean this very run, and "auto" its own checkpoints, also to other ranks.
    cfg.resume = str(resume) if resume is not None else None
    datamodule = _open_data(cfg)
    check_amounts(cfg, datamodule.parts, datamodule.source.picture_size, num_ranks)
    model = _build_model(cfg, datamodule)
    step, threads = 0, None
    if checkpoint is not None:
        _check_resume(cfg, checkpoint, model)
        step, threads = checkpoint["global_step"], checkpoint.get("threads")
        del checkpoint
    folder = _make_run_folder(cfg)
    history = History()
    together = EndTogether(folder)
    # Machines may see the checkpoint under other paths.
    settings = settings_apart_from_folder(cfg) | {"resume": f"step {step}"}
    own = [history, together, SameSettings(settings)]
    trainer = _build_trainer(cfg, own, len(datamodule.parts["val"]) > 0, step)
    _begin_run_folder(cfg, folder, resume, step)
    _share_cores(cfg.threads, trainer)
    if threads not in (None, torch.get_num_threads()):
        log.warning(
            "the run so far had %s threads, now there are %s: results will differ in their last bits; "
            "threads=%s keeps them the same",
            threads,
            torch.get_num_threads(),
            threads,
        )
    size = {
        "parameters": count_parameters(model.network),
        "macs": count_macs(model.network, cfg.data.channels, cfg.data.image_size),
    }
    _print_summary(cfg, datamodule, trainer, size, folder)
    _lay_out_tensorboard(trainer)
    command = shlex.join(["python", "train.py", *given_settings()])
    if trainer.world_size > 1:
        _hand_configuration_to_ranks(folder)

    began = time.perf_counter()
    with together:
        meet_anew(trainer.strategy.root_device)
        if resume is not None:
            _name_in_errors(trainer, resume)
        with _as_latest(folder), _stoppable(trainer, folder):
            trainer.fit(model, datamodule, ckpt_path=resume, weights_only=True)
        if resume is not None and _is_time_up(trainer) and trainer.global_step == step:
            log.warning("trainer.max_time=%s was up before: no step was trained", cfg.trainer.max_time)
        # As Lightning does where epochs are limited, but not steps, and the checkpoint was at the end.
        epochs = trainer.fit_loop.epoch_progress.current
        epochs.completed = max(epochs.completed, epochs.processed)  # type: ignore[attr-defined]
        fit_seconds, total_seconds = time.perf_counter() - began, history.total_seconds()
        # Ranks that were started by torchrun may each have read another clock.
        folder = Path(trainer.strategy.broadcast(str(folder)))
        # The first rank reads for all, since other nodes may not see its folder.
        kept: Any = _keep_best(trainer, folder, history) if trainer.is_global_zero else None
        best, val_accuracy = trainer.strategy.broadcast(kept)
        if trainer.limit_test_batches:
            if best:
                # Not by `ckpt_path`, which would also put the callbacks back to where they were then.
                weights: Any = load_checkpoint(best)["state_dict"] if trainer.is_global_zero else None
                model.load_state_dict(trainer.strategy.broadcast(weights))
            with _stoppable(trainer, folder):
                trainer.test(model, datamodule, verbose=False)
    if not trainer.is_global_zero:
        return {}
    result = {
        "train/accuracy": _rounded(history.epochs[-1].get("train/accuracy") if history.epochs else None),
        "val/accuracy": _rounded(val_accuracy),
        "test/accuracy": _rounded(trainer.callback_metrics.get("test/accuracy")),
        "epochs": trainer.current_epoch,
        "images_per_second": round(history.images_per_second(trainer.world_size), 1),
        "fit_seconds": round(fit_seconds, 1),  # of this process
        "total_seconds": None if total_seconds is None else round(total_seconds, 1),
        **size,
        "checkpoint": str(best) if best else None,
        "command": command,
    }
    _finish(cfg, trainer, model, history, result, folder)
    return result


def _find_resumed(cfg: DictConfig) -> tuple[Path | None, dict[str, Any] | None]:
    """The checkpoint to go on from, its file and what it holds; None where the run begins.

    Raises:
        FileNotFoundError: there is none where one was asked for.
        InputError: it cannot be read, or `auto` would look into a folder that is new every time.
    """
    if cfg.resume is None:
        return None, None
    where = cfg.resume
    if where == AUTO:
        if _is_default_folder(cfg.output_dir):
            raise InputError("resume=auto: name the run's folder, output_dir=..., that it may find it again")
        where = cfg.output_dir
        if not any((Path(where) / "checkpoints" / name).is_file() for name in (LAST, PREVIOUS)):
            return None, None
    checkpoint, path = load_or_previous(find_checkpoint(where, "resume", prefer="last"))
    return path, checkpoint


def _result_of_finished(cfg: DictConfig) -> dict[str, Any] | None:
    """The result of a run that has nothing left to do, as it ended by the same settings."""
    folder = Path(cfg.output_dir)
    before = _settings_before(folder)
    if before is None or set(_changed_keys(before, settings_that_count(cfg))) - WATCHING:
        return None
    return _result_in(folder)


def _result_in(folder: Path) -> dict[str, Any] | None:
    """What a finished run has left; None where there is nothing to be read."""
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError):
        return None
    return result


def _settings_before(folder: Path) -> dict[str, Any] | None:
    """Those of the run in a folder that its figures depend on; None where they cannot be read."""
    try:
        return settings_that_count(OmegaConf.load(folder / "config.yaml"))
    except (OSError, AttributeError, YAMLError, OmegaConfBaseException):
        return None


def _changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]


def _warn_of_changes(cfg: DictConfig, folder: Path, checkpoint: dict[str, Any]) -> None:
    """Say which settings are others than those that the run so far had, but for how long it trains."""
    now, kept = settings_that_count(cfg), _kept_settings(checkpoint)
    before = _settings_before(folder) or now
    changes = [
        f"{key}={now.get(key)} (so far {before.get(key)})"
        for key in _changed_keys(before, now)
        if not key.startswith("trainer.max_") and key not in kept
    ]
    if changes:
        more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
        log.warning("the run goes on with other settings: %s%s", ", ".join(changes[:MOST_CHANGES]), more)
    for key in sorted(kept.keys() & now.keys()):
        if now[key] != kept[key]:
            log.warning("%s=%s is not used: the checkpoint goes on with %s", key, now[key], kept[key])


def _kept_settings(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What optimizer and schedule have in their state, and go on with whatever the configuration says."""
    group, schedule = checkpoint["optimizer_states"][0]["param_groups"][0], _schedule_in(checkpoint)
    values = {f"optimizer.{key}": value for key, value in group.items() if key != "params"}
    values["optimizer.lr"] = group.get("initial_lr", group["lr"])
    values |= {f"scheduler.{key}": value for key, value in schedule.items()}
    if "min_lrs" in schedule:
        values["scheduler.min_lr"] = schedule["min_lrs"][0]
    plain = (bool, int, float, str, type(None))
    lists = {key: list(value) for key, value in values.items() if isinstance(value, list | tuple)}
    lists = {key: value for key, value in lists.items() if all(isinstance(one, plain) for one in value)}
    return {key: value for key, value in values.items() if isinstance(value, plain)} | lists


def _schedule_in(checkpoint: dict[str, Any]) -> dict[str, Any]:
    schedules: list[dict[str, Any]] = checkpoint["lr_schedulers"]
    return schedules[0] if schedules else {}


def _folder_of(checkpoint: Path) -> Path:
    """That of the run that a checkpoint is of."""
    return checkpoint.parent.parent


def _check_resume(cfg: DictConfig, checkpoint: dict[str, Any], model: ImageClassifier) -> None:
    """Refuse in one line what cannot go on, and say which setting does not take effect."""
    path = Path(cfg.resume)
    network_from(checkpoint, path)
    theirs, hparams = checkpoint["hyper_parameters"], dict(model.hparams)
    for key in sorted(set(theirs) | set(hparams)):
        # What makes the network has to be the same; the rest may change.
        if key not in ("data", "label_smoothing", "fast_layers") and theirs.get(key) != hparams.get(key):
            raise InputError(
                f"resume={cfg.resume}: the checkpoint has {key} {theirs.get(key)}, "
                f"this run {hparams.get(key)}"
            )
    optimizer = _target_name(cfg.optimizer)
    if checkpoint.get("optimizer") != optimizer:
        raise InputError(
            f"resume={cfg.resume}: the checkpoint's optimizer is {checkpoint.get('optimizer')}, "
            f"this run's {optimizer}"
        )
    check_state(checkpoint, path, [p for group in model.parameter_groups() for p in group["params"]])
    if ("num_bad_epochs" in _schedule_in(checkpoint)) != (_target_name(cfg.scheduler) == "plateau"):
        raise InputError(
            f"resume={cfg.resume}: scheduler=plateau and the others do not go on from each other; choose the "
            "scheduler that the run had"
        )
    before, now = theirs["data"].get("pictures"), hparams["data"]["pictures"]
    if before not in (None, now):
        log.warning(
            "the data set had %s pictures and now has %s: others are held out than so far", before, now
        )
    if CURRENT_WEIGHTS in checkpoint and "AverageWeights" not in map(_target_name, _callbacks(cfg)):
        raise InputError(
            f"resume={cfg.resume}: the checkpoint averages weights; go on with callbacks=ema, as that run did"
        )
    done = epochs_done(checkpoint)
    # A run that was stopped between its last epoch and its result has that left to do.
    is_finished = _result_in(_folder_of(path)) is not None
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
    _warn_of_changes(cfg, _folder_of(path), checkpoint)


def _name_in_errors(trainer: Trainer, resume: Path) -> None:
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


@contextmanager
def _stoppable(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Let a signal that ends the work say how to go on, once, and not once a rank."""
    try:
        yield
    except Stopped as stopped:
        message, code = str(stopped), stopped.exit_code
    except SystemExit as end:  # Lightning's way to leave after a signal, and ours where ranks cannot go on
        if not trainer.interrupted or end.code == EXIT_WRONG_INPUT:
            raise
        code = EXIT_CODES[signal.SIGTERM if trainer.received_sigterm else signal.SIGINT]
        message = WORDS[code]
    else:
        return
    if not trainer.is_global_zero:
        raise SystemExit(code)
    if (folder / "checkpoints" / LAST).is_file():
        hint = f"go on from its last checkpoint with {resume_command(folder)}"
    else:
        hint = "there is no checkpoint yet"
    raise Stopped(f"{message}: {hint}", code)


def _open_data(cfg: DictConfig) -> ImageDataModule:
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
    if _target_name(cfg.scheduler) == "plateau" and not validates:
        raise InputError(
            "scheduler=plateau: needs validation: data.val_split and trainer.limit_val_batches above 0"
        )
    return datamodule


def _build_model(cfg: DictConfig, datamodule: ImageDataModule) -> ImageClassifier:
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
            "picture_size": source.picture_size,
            "digits": source.digits,
            "fit": cfg.data.source.get("fit", "pad"),
            "pictures": len(datamodule.parts["train"].pictures),  # that were divided
            **{key: cfg.data[key] for key in SPLIT_KEYS},
        },
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        scheduler=instantiate(cfg.scheduler, _convert_="all"),
        _convert_="all",
    )


def _build_trainer(cfg: DictConfig, own: list[Callback], has_validation: bool, step: int) -> Trainer:
    """Build the trainer of a run whose first step is the one after `step`."""
    callbacks: list[Callback] = _members(cfg, "callbacks")
    if not has_validation or cfg.trainer.limit_val_batches == 0:
        callbacks = [c for c in callbacks if not str(getattr(c, "monitor", "")).startswith("val/")]
    if not cfg.trainer.enable_progress_bar:  # Lightning refuses both
        callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
    callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint))  # it keeps the others' state
    trainer: Trainer = instantiate(
        cfg.trainer,
        callbacks=[*own, *callbacks, StopOnSignal()],
        logger=_build_loggers(cfg, step),
        plugins=[DurableCheckpointIO()],
        default_root_dir=cfg.output_dir,
        # cuDNN's fastest algorithm is another from run to run.
        benchmark=cfg.trainer.benchmark and not cfg.trainer.deterministic,
        _convert_="all",
    )
    # Where steps are limited, Lightning would repeat the end of an epoch that a checkpoint was written at.
    trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]
    return trainer


def _share_cores(threads: int | None, trainer: Trainer) -> None:
    """Set the number of threads; several processes with all cores each would be in each other's way.

    Lightning would set its own number at the start of training, were the variable not there.
    """
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if threads is None and trainer.world_size > 1 and on_cpu and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, torch.get_num_threads() // trainer.num_devices)
    if threads is not None:
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)


def _build_loggers(cfg: DictConfig, step: int) -> list[Any]:
    """The loggers; TensorBoard shall forget what an interrupted run logged from `step` on."""
    nodes = (node for node in (cfg.get("logger") or {}).values() if node is not None)
    return [
        instantiate(
            node,
            **({"purge_step": step} if step and _target_name(node) == TensorBoardLogger.__name__ else {}),
            _convert_="all",
        )
        for node in nodes
    ]


def _members(cfg: DictConfig, group: str) -> list[Any]:
    """The objects of a group of named ones; a group or member may be deleted or null."""
    members = instantiate(cfg.get(group) or {}, _convert_="all")
    return [member for member in members.values() if member is not None]


def _make_run_folder(cfg: DictConfig) -> Path:
    """Make the folder on the first rank; of two runs of one second the later takes a number."""
    folder = Path(cfg.output_dir)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return folder
    number = 1
    while folder.exists() and _is_default_folder(cfg.output_dir):
        number += 1
        folder = Path(f"{cfg.output_dir}-{number}")
    cfg.output_dir = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_time_up(trainer: Trainer) -> bool:
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    return any((left := timer.time_remaining()) is not None and left <= 0 for timer in timers)


def _is_default_folder(output_dir: str) -> bool:
    """Whether it is named by the time, and not by the user."""
    is_given = any(s.startswith("output_dir=") and "${now" not in s for s in given_settings())
    return TIMED_FOLDER.fullmatch(output_dir) is not None and not is_given


@rank_zero_only
def _begin_run_folder(cfg: DictConfig, folder: Path, resume: Path | None, step: int) -> None:
    """Let the folder hold what the run goes on with, logged before `step`, and nothing of another run.

    Only now: a command that fails before this leaves an earlier run as it is.
    """
    is_same = resume is not None and _folder_of(resume) == folder.resolve()
    checkpoints = [] if is_same else [*folder.glob("checkpoints/*.ckpt")]
    if checkpoints or ((folder / RESULT).exists() and not is_same):
        log.warning("%s holds an earlier run, whose files are replaced", folder)
    # What is left of an earlier run must not be taken for this one's.
    for old in [folder / RESULT, *(path for path in checkpoints if path.resolve() != resume)]:
        old.unlink(missing_ok=True)
    if not is_same:
        for name in (CURVES, CONFUSION):
            (folder / name).unlink(missing_ok=True)
        keeps_best = "BestCheckpoint" in map(_target_name, _callbacks(cfg))
        if resume is not None and keeps_best and (best := resume.with_name(BEST)).is_file():
            copy_durably(best, folder / "checkpoints" / BEST)
    elif resume is not None and resume.name != LAST:
        # The logs end there from now on.
        keep = resume.with_name(PREVIOUS)
        copy_durably(resume, resume.with_name(LAST), keep if keep != resume else None)
    _forget_best_after(step, folder / "checkpoints" / BEST)
    begin_logs(folder, resume, step)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)


def _forget_best_after(step: int, best: Path) -> None:
    """Remove the best of steps that are taken anew; the next validation is the best then."""
    if not best.is_file():
        return
    try:
        step_of_best = load_checkpoint(best)["global_step"]
        is_after = not isinstance(step_of_best, int) or step_of_best > step
    except InputError as error:
        log.warning("%s; the best is looked for anew", error)
        is_after = True
    if is_after:
        best.unlink()


@contextmanager
def _as_latest(folder: Path) -> Iterator[None]:
    """Let outputs/latest point at the run; one that ends without a checkpoint gives it back."""
    is_folder = LATEST.exists() and not LATEST.is_symlink()
    if is_folder:
        log.warning("%s is no link, and is left as it is", LATEST)
    if is_folder or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield
        return
    before = LATEST.readlink() if LATEST.is_symlink() else None
    LATEST.parent.mkdir(exist_ok=True)
    _point_latest_at(Path(os.path.relpath(folder, LATEST.parent)))
    try:
        yield
    finally:
        if before is not None and not list(folder.glob("checkpoints/*.ckpt")):
            _point_latest_at(before)


def _point_latest_at(target: Path) -> None:
    scratch = LATEST.with_name(f".latest-{os.getpid()}")
    scratch.symlink_to(target, target_is_directory=True)
    scratch.replace(LATEST)


def _hand_configuration_to_ranks(folder: Path) -> None:
    """Lightning starts the other ranks with our arguments: they shall get this very configuration."""
    os.environ[GIVEN_SETTINGS] = shlex.join(given_settings())
    sys.argv[1:] = [f"--config-path={folder.resolve()}", "--config-name=config", "hydra/job_logging=stdout"]


@rank_zero_only
def _print_summary(
    cfg: DictConfig, datamodule: ImageDataModule, trainer: Trainer, size: dict[str, int], folder: Path
) -> None:
    parts = datamodule.parts
    side, batch = cfg.data.image_size, cfg.data.batch_size
    ranks = f" on each of {trainer.world_size} ranks" if trainer.world_size > 1 else ""
    device = trainer.strategy.root_device
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    )
    log.info(
        "network  %s, filters %s, %s parameters, %.1f M multiply-accumulates a picture",
        cfg.model.network,
        cfg.model.get("filters", "-"),
        f"{size['parameters']:,}",
        size["macs"] / 1e6,
    )
    log.info(
        "data     %s: %s pictures to train on, %s held out, %s to test; %dx%dx%d, batches of %d%s",
        datamodule.source.name,
        *(f"{len(parts[name]):,}" for name in ("train", "val", "test")),
        side,
        side,
        cfg.data.channels,
        batch,
        ranks,
    )
    log.info("device   %s, %s, precision %s", device.type, where, trainer.precision)
    log.info("run      %s", folder)


def _lay_out_tensorboard(trainer: Trainer) -> None:
    """Draw training and validation on one chart, on TensorBoard's page Custom Scalars."""
    charts = {
        quantity: ["Multiline", [f"train/{quantity}", f"val/{quantity}"]] for quantity in ("accuracy", "loss")
    }
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            logger.experiment.add_custom_scalars({"training and validation": charts})


def _keep_best(trainer: Trainer, folder: Path, history: History) -> tuple[Path | None, float | None]:
    """The checkpoint to test and to use, and its validation accuracy.

    Without validation it is the last, which then also becomes best.ckpt; None where the run keeps none.
    """
    last, best = folder / "checkpoints" / LAST, folder / "checkpoints" / BEST
    validated = [
        callback for callback in trainer.checkpoint_callbacks if isinstance(callback, BestCheckpoint)
    ]
    if validated and validated[0].best_model_path:
        return best, validated[0].accuracy
    val_accuracy = history.epochs[-1].get("val/accuracy") if history.epochs else None
    keeps_last = any(isinstance(callback, LastCheckpoint) for callback in trainer.checkpoint_callbacks)
    if not (keeps_last and last.is_file()):
        return None, val_accuracy
    copy_durably(last, best)
    return best, val_accuracy


def _rounded(accuracy: Any) -> float | None:
    """Without the noise behind single precision's seventh digit."""
    return None if accuracy is None else round(float(accuracy), 6)


def _finish(
    cfg: DictConfig,
    trainer: Trainer,
    model: ImageClassifier,
    history: History,
    result: dict[str, Any],
    folder: Path,
) -> None:
    if history.epochs:
        draw_curves(folder / CURVES, history.epochs)
    if result["test/accuracy"] is not None:
        draw_confusion(folder / CONFUSION, model.test_confusion.tolist(), model.hparams["classes"])
    _log_hyperparameters(cfg, trainer, result)
    # Lightning's loggers leave an empty one; config.yaml says all.
    (folder / "hparams.yaml").unlink(missing_ok=True)
    (folder / "checkpoints" / PREVIOUS).unlink(missing_ok=True)
    write_json(folder / RESULT, result)  # last: a run that has it has nothing left to do
    names = {"train/accuracy": "training", "val/accuracy": "validation", "test/accuracy": "test"}
    accuracies = ", ".join(
        f"{name} {result[key]:.4f}" for key, name in names.items() if result[key] is not None
    )
    log.info("")
    log.info(
        "accuracy  %s; %.0f s, %.0f pictures/s",
        accuracies,
        result["fit_seconds"],
        result["images_per_second"],
    )
    log.info("run       %s", folder)
    if result["checkpoint"]:
        log.info("predict   python predict.py %s image=img.png", shlex.quote(f"ckpt={folder}"))


def _log_hyperparameters(cfg: DictConfig, trainer: Trainer, result: dict[str, Any]) -> None:
    """The same flat keys in every run, or TensorBoard's HParams page would show one run's columns only."""
    values = {
        "network": cfg.model.network,
        "filters": cfg.model.get("filters", 0),
        "data": _target_name(cfg.data.source),
        "image_size": cfg.data.image_size,
        "channels": cfg.data.channels,
        "batch_size": cfg.data.batch_size,
        "augmentation": _target_name(cfg.augmentation),
        "optimizer": _target_name(cfg.optimizer),
        "learning_rate": cfg.optimizer.lr,
        "weight_decay": cfg.optimizer.weight_decay,
        "scheduler": _target_name(cfg.scheduler),
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


def _callbacks(cfg: DictConfig) -> list[DictConfig]:
    return [node for node in (cfg.get("callbacks") or {}).values() if node is not None]


def _target_name(node: DictConfig) -> str:
    """The last part of `_target_`: what a configuration calls its class or function."""
    name: str = node["_target_"].rpartition(".")[2]
    return name


def _silence() -> None:
    """Leave out what Lightning prints about itself, and warnings that do not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        logging.getLogger("mobilenet_lab").setLevel(logging.ERROR)  # the first rank says what all would say
    # TensorBoard's writer would import all of TensorFlow where it is installed, and takes this for "do not".
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    for message in (
        ".*does not have many workers.*",  # reading by batch index needs none
        ".*smaller than the logging interval.*",
        ".*Experiment logs directory .* exists and is not empty.*",
        ".*dataloader is not resumable.*",  # the datamodule starts the order where the run stopped
        ".*The dirpath has changed from .*",  # a resumed run has a folder of its own
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*You defined a `validation_step` but have no `val_dataloader`.*",
        ".*Total length of `list` across ranks is zero.*",
        ".*GPU available but not used.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",  # inside Lightning, about PyTorch's internals
    ):
        warnings.filterwarnings("ignore", message)

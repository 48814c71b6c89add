"""One training run: from a checked configuration to a run folder with weights and results."""

import logging
import shlex
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig

from mobilenet_lab.callbacks.config_consistency import ConfigConsistencyCheck
from mobilenet_lab.callbacks.history import EpochHistory
from mobilenet_lab.callbacks.rank_watchdog import RankWatchdog
from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.config.combinations import SMALL_PICTURE
from mobilenet_lab.config.fingerprint import flat_settings
from mobilenet_lab.config.validate import AUTO
from mobilenet_lab.models.complexity import count_macs, count_parameters
from mobilenet_lab.runs.folder import begin_run_folder, latest_symlink, make_run_folder
from mobilenet_lab.runs.tensorboard import lay_out_tensorboard
from mobilenet_lab.runtime.invocation import command_line_overrides, pass_config_to_ranks
from mobilenet_lab.runtime.malloc import configure_malloc
from mobilenet_lab.runtime.quiet import configure_logging
from mobilenet_lab.runtime.ranks import rendezvous_after_restart
from mobilenet_lab.runtime.threads import set_cpu_threads
from mobilenet_lab.training.builders import build_datamodule, build_model, build_trainer
from mobilenet_lab.training.data_checks import check_data
from mobilenet_lab.training.hardware_checks import check_machine
from mobilenet_lab.training.interruption import report_interruption
from mobilenet_lab.training.resume import (
    check_resume,
    find_resume_checkpoint,
    result_of_finished,
    wrap_restore_errors,
)
from mobilenet_lab.training.summary import finish, keep_best, print_summary, rounded

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> dict[str, Any]:
    """Run a configuration that `configuration.check` has accepted.

    Returns:
        What `result.json` holds; empty on every rank but the first.

    Raises:
        InputError: the machine lacks the accelerator asked for, or data or checkpoint cannot be used.
        FileNotFoundError: data or checkpoint are missing.
    """
    configure_malloc()
    configure_logging()
    num_ranks = check_machine(cfg.trainer)
    seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    if cfg.model.get("stem_stride", 0) is None:
        cfg.model.stem_stride = 1 if cfg.data.image_size < SMALL_PICTURE else 2
    resume, checkpoint = find_resume_checkpoint(cfg)
    if checkpoint is not None and cfg.resume == AUTO and (result := result_of_finished(cfg)):
        log.info("%s is finished already", cfg.output_dir)
        return result
    # "latest" will soon mean this very run, and "auto" its own checkpoints, also to other ranks.
    cfg.resume = str(resume) if resume is not None else None
    datamodule = build_datamodule(cfg)
    check_data(cfg, datamodule.subsets, datamodule.source.native_size, num_ranks)
    model = build_model(cfg, datamodule)
    step, threads = 0, None
    if checkpoint is not None:
        check_resume(cfg, checkpoint, model)
        step, threads = checkpoint["global_step"], checkpoint.get("num_threads")
        del checkpoint
    folder = make_run_folder(cfg)
    history = EpochHistory()
    together = RankWatchdog(folder)
    # Machines may see the checkpoint under other paths.
    settings = flat_settings(cfg) | {"resume": f"step {step}"}
    own = [history, together, ConfigConsistencyCheck(settings)]
    trainer = build_trainer(cfg, own, len(datamodule.subsets["val"]) > 0, step)
    begin_run_folder(cfg, folder, resume, step)
    set_cpu_threads(cfg.num_threads, trainer)
    if threads not in (None, torch.get_num_threads()):
        log.warning(
            "the run so far had %s threads, now there are %s: results will differ in their last bits; "
            "num_threads=%s keeps them the same",
            threads,
            torch.get_num_threads(),
            threads,
        )
    size = {
        "parameters": count_parameters(model.network),
        "macs": count_macs(model.network, cfg.data.channels, cfg.data.image_size),
    }
    print_summary(cfg, datamodule, trainer, size, folder)
    lay_out_tensorboard(trainer)
    command = shlex.join(["python", "train.py", *command_line_overrides()])
    if trainer.world_size > 1:
        pass_config_to_ranks(folder)

    began = time.perf_counter()
    with together:
        rendezvous_after_restart(trainer.strategy.root_device)
        if resume is not None:
            wrap_restore_errors(trainer, resume)
        with latest_symlink(folder), report_interruption(trainer, folder):
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
        kept: Any = keep_best(trainer, folder, history) if trainer.is_global_zero else None
        best, val_accuracy = trainer.strategy.broadcast(kept)
        if trainer.limit_test_batches:
            if best:
                # Not by `ckpt_path`, which would also put the callbacks back to where they were then.
                weights: Any = load_checkpoint(best)["state_dict"] if trainer.is_global_zero else None
                model.load_state_dict(trainer.strategy.broadcast(weights))
            with report_interruption(trainer, folder):
                trainer.test(model, datamodule, verbose=False)
    if not trainer.is_global_zero:
        return {}
    result = {
        "train/accuracy": rounded(history.epochs[-1].get("train/accuracy") if history.epochs else None),
        "val/accuracy": rounded(val_accuracy),
        "test/accuracy": rounded(trainer.callback_metrics.get("test/accuracy")),
        "epochs": trainer.current_epoch,
        "images_per_second": round(history.images_per_second(trainer.world_size), 1),
        "fit_seconds": round(fit_seconds, 1),  # of this process
        "total_seconds": None if total_seconds is None else round(total_seconds, 1),
        **size,
        "checkpoint": str(best) if best else None,
        "command": command,
    }
    finish(cfg, trainer, model, history, result, folder)
    return result


def _is_time_up(trainer: Trainer) -> bool:
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    return any((left := timer.time_remaining()) is not None and left <= 0 for timer in timers)

"""One training run: from a checked configuration to a run folder with weights and results."""

import copy
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from omegaconf import DictConfig

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.callbacks.config_consistency import ConfigConsistencyCheck
from mobilenet_lab.callbacks.history import EpochHistory
from mobilenet_lab.callbacks.rank_watchdog import RankWatchdog
from mobilenet_lab.callbacks.run_clock import time_left
from mobilenet_lab.callbacks.throughput import Throughput
from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.state import weights
from mobilenet_lab.config.fingerprint import flat_settings
from mobilenet_lab.config.validate import AUTO
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.latest import latest_symlink
from mobilenet_lab.runs.tensorboard import add_charts
from mobilenet_lab.runtime.invocation import pass_config_to_ranks
from mobilenet_lab.runtime.lightning_internals import complete_counters
from mobilenet_lab.runtime.process_state import preserve_process_state
from mobilenet_lab.runtime.quiet import configure_logging
from mobilenet_lab.runtime.ranks import rendezvous_after_restart
from mobilenet_lab.runtime.threads import set_cpu_threads
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.builders import build_datamodule, build_model, build_trainer
from mobilenet_lab.training.data_checks import check_data
from mobilenet_lab.training.folder_claim import claim_run_folder
from mobilenet_lab.training.hardware_checks import check_machine
from mobilenet_lab.training.initial_weights import load_initial_weights
from mobilenet_lab.training.instantiation import one_line_misconfiguration
from mobilenet_lab.training.interruption import report_interruption
from mobilenet_lab.training.memory_check import check_memory, measure_free_memory
from mobilenet_lab.training.output_folder import prepare_run_folder
from mobilenet_lab.training.report import write_report
from mobilenet_lab.training.restore_errors import name_checkpoint_in_errors
from mobilenet_lab.training.resume import (
    ResumePoint,
    check_resume,
    find_resume_checkpoint,
    finished_result,
)
from mobilenet_lab.training.summary import (
    keep_best,
    log_summary,
    summarize_run,
    write_results,
)

log = logging.getLogger(__name__)


@dataclass
class Run:
    """The objects of one training run.

    Attributes:
        cfg: The configuration, with the values that were decided at the start filled in.
        folder: Where the run writes.
        datamodule: The data.
        model: The LightningModule.
        trainer: Lightning's trainer.
        history: Metrics of the epochs.
        throughput: Speed of the training steps.
        watchdog: Ends all ranks together.
        resume: Where the run continues; None if it starts from scratch.
    """

    cfg: DictConfig
    folder: RunFolder
    datamodule: ImageDataModule
    model: ImageClassifier
    trainer: Trainer
    history: EpochHistory
    throughput: Throughput
    watchdog: RankWatchdog
    resume: ResumePoint | None


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train, validate and test a model, and write the run folder.

    The argument and the state of the process are the same afterwards, so several runs fit into one process.

    Args:
        cfg: A configuration that `config.validate.check` has accepted.

    Returns:
        The contents of `result.json`; empty on every rank but the first.

    Raises:
        InputError: The machine lacks a device, or data or checkpoint cannot be used.
        FileNotFoundError: Data or checkpoint do not exist.
        RunInterrupted: A signal ended the run.
    """
    cfg = copy.deepcopy(cfg)
    with preserve_process_state(), claim_run_folder(cfg):
        # 1. Prepare the process.
        configure_logging()
        num_ranks = check_machine(cfg.trainer)
        free_memory = measure_free_memory(cfg.trainer)
        seed_everything(cfg.seed, workers=True, verbose=False)
        torch.set_float32_matmul_precision("high")

        # 2. Find the checkpoint to resume from.
        found = find_resume_checkpoint(cfg)
        if cfg.resume == AUTO and (result := finished_result(cfg)):
            log.info("%s is already finished", cfg.output_dir)
            return result
        # "latest" will point to this run, and "auto" finds its new checkpoints; other ranks need the file.
        cfg.resume = str(found[0]) if found is not None else None

        # 3. Build data and model, and check that everything fits together.
        datamodule = build_datamodule(cfg)
        check_data(cfg, datamodule, num_ranks)
        check_memory(cfg, datamodule, num_ranks, free_memory)
        model = build_model(cfg, datamodule)
        if found is None:
            load_initial_weights(cfg, model)
            resume = None
        else:
            resume = check_resume(cfg, *found, model, datamodule)
        del found  # the state of the optimizer takes memory

        # 4. Create the folder and the trainer.
        run = _set_up(cfg, datamodule, model, resume)

        # 5. Fit, then test the best weights.
        with run.watchdog:
            fit_seconds = _fit(run)
            best, val_accuracy = _share_best(run)
            _test(run, best)

        # 6. Write the results.
        return _write(run, best, val_accuracy, fit_seconds) if run.trainer.is_global_zero else {}


def _set_up(
    cfg: DictConfig, datamodule: ImageDataModule, model: ImageClassifier, resume: ResumePoint | None
) -> Run:
    """Create the run folder and the trainer, and log what will be trained."""
    folder = RunFolder(Path(cfg.output_dir))
    step = resume.step if resume is not None else 0
    history, throughput, watchdog = EpochHistory(), Throughput(), RankWatchdog(folder.path, cfg.rank_timeout)
    # Machines may see the checkpoint under different paths.
    consistency = ConfigConsistencyCheck(flat_settings(cfg) | {"resume": f"step {step}"})
    has_validation = len(datamodule.subsets["val"]) > 0
    trainer = build_trainer(cfg, [history, throughput, watchdog, consistency], has_validation, step)
    keeps_best = any(isinstance(callback, BestCheckpoint) for callback in trainer.checkpoint_callbacks)
    prepare_run_folder(cfg, folder, resume.path if resume is not None else None, step, keeps_best)
    set_cpu_threads(cfg.num_threads, trainer, resume.num_threads if resume is not None else None)
    log_summary(cfg, datamodule, trainer, model, folder)
    add_charts(trainer)
    if trainer.world_size > 1:
        pass_config_to_ranks(folder.config)
    return Run(cfg, folder, datamodule, model, trainer, history, throughput, watchdog, resume)


def _fit(run: Run) -> float:
    """Train and validate; return the seconds it took."""
    began = time.perf_counter()
    trainer, resume = run.trainer, run.resume
    path = resume.path if resume is not None else None
    rendezvous_after_restart(trainer.strategy.root_device)
    with (
        latest_symlink(run.folder),
        report_interruption(trainer, run.folder),
        name_checkpoint_in_errors(trainer, path),
        one_line_misconfiguration(trainer),
    ):
        trainer.fit(run.model, run.datamodule, ckpt_path=path, weights_only=True)
    if resume is not None and time_left(trainer) == 0 and trainer.global_step == resume.step:
        log.warning("trainer.max_time=%s had already elapsed; no steps were run", run.cfg.trainer.max_time)
    return time.perf_counter() - began


def _share_best(run: Run) -> tuple[Path | None, float | None]:
    """Return the checkpoint to test and its validation accuracy, the same on all ranks."""
    trainer = run.trainer
    # Ranks that torchrun started may have read different clocks, and other nodes may not see the folder.
    run.folder = RunFolder(Path(trainer.strategy.broadcast(str(run.folder))))
    kept: Any = keep_best(trainer, run.folder, run.history) if trainer.is_global_zero else None
    best: tuple[Path | None, float | None] = trainer.strategy.broadcast(kept)
    return best


def _test(run: Run, best: Path | None) -> None:
    """Test the best weights, or the last ones if the run keeps no checkpoint."""
    trainer, model = run.trainer, run.model
    if not trainer.limit_test_batches or not len(run.datamodule.subsets["test"]):
        return
    complete_counters(trainer)
    if best is not None:
        # Lightning's `ckpt_path` would also restore the callbacks.
        best_weights: Any = weights(load_checkpoint(best)) if trainer.is_global_zero else None
        model.load_state_dict(trainer.strategy.broadcast(best_weights))
    with report_interruption(trainer, run.folder):
        trainer.test(model, run.datamodule, verbose=False)


def _write(run: Run, best: Path | None, val_accuracy: float | None, fit_seconds: float) -> dict[str, Any]:
    """Write result.json, plots and report; return the result."""
    result = summarize_run(
        run.cfg,
        run.trainer,
        run.model,
        run.history,
        run.throughput,
        best,
        val_accuracy,
        fit_seconds,
    )
    write_results(run.cfg, run.trainer, run.model, run.history, result, run.folder)
    write_report(run.cfg, run.datamodule, run.trainer, run.model, run.history, result, run.folder)
    return result

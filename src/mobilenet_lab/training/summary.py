"""Log the start of a run and write its results."""

import logging
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.callbacks.early_stopping import stop_reason
from mobilenet_lab.callbacks.history import EpochHistory
from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.callbacks.throughput import Throughput
from mobilenet_lab.checkpoints.writer import copy_atomically
from mobilenet_lab.config.nested import target_name
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.splits import STAGES
from mobilenet_lab.models.complexity import count_macs, count_parameters
from mobilenet_lab.models.stages import measure_stages
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.plots import plot_confusion, plot_curves, save_plot
from mobilenet_lab.runs.tensorboard import log_hparams
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.invocation import command_line_overrides, train_command
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.initial_weights import WEIGHTS, network_arguments
from mobilenet_lab.training.model_table import model_table

log = logging.getLogger(__name__)


def measure_model(cfg: DictConfig, model: ImageClassifier) -> dict[str, int]:
    """Return the number of parameters and of MACs per image."""
    return {
        "parameters": count_parameters(model.network),
        "macs": count_macs(model.network, cfg.data.channels, cfg.data.image_size),
    }


@rank_zero_only
def log_summary(
    cfg: DictConfig, datamodule: ImageDataModule, trainer: Trainer, model: ImageClassifier, run: RunFolder
) -> None:
    """Log model, data, device and folder, one line each, and a table of the model's stages."""
    for label, text in describe_run(cfg, datamodule, trainer, measure_model(cfg, model)).items():
        log.info("%-8s %s", label, text)
        if label == "model" and cfg.trainer.enable_model_summary:
            for line in model_table(measure_stages(model.network, cfg.data.channels, cfg.data.image_size)):
                log.info("%s", line)
        if label == "model" and model.freezing.stages:
            log.info("frozen   %s", model.freezing)
    log.info("run      %s", run)


def describe_run(
    cfg: DictConfig, datamodule: ImageDataModule, trainer: Trainer, size: Mapping[str, Any]
) -> dict[str, str]:
    """Return what is trained on what and where: model, data, batches and device.

    Args:
        cfg: The configuration.
        datamodule: The data.
        trainer: The trainer.
        size: `parameters` and `macs` as in `measure_model`, for example the contents of result.json.
    """
    subsets = datamodule.subsets
    ranks = f" on each of {trainer.world_size} ranks" if trainer.world_size > 1 else ""
    device = trainer.strategy.root_device
    is_cuda = device.type == "cuda"
    threads = torch.get_num_threads()
    where = (
        torch.cuda.get_device_name(device) if is_cuda else f"{threads} thread{'s' if threads != 1 else ''}"
    )
    counts = [f"{len(subsets[name]):,} {stage}" for name, stage in STAGES.items()]
    side, channels = cfg.data.image_size, cfg.data.channels
    return {
        "model": f"{_describe_model(cfg)}, {size['parameters']:,} parameters, "
        f"{size['macs'] / 1e6:.1f} M MACs per image",
        "data": f"{datamodule.source.name}: {', '.join(counts)} images",
        "batches": f"{cfg.data.batch_size} images of {side}x{side}x{channels}{ranks}",
        "device": f"{device.type}, {where}, precision {trainer.precision}",
    }


def _describe_model(cfg: DictConfig) -> str:
    """Return the name of the network and its first argument, which sets its size."""
    arguments = [f"{key}={value}" for key, value in network_arguments(cfg).items()]
    return f"{cfg.model.network}({', '.join(arguments[:1])})"


def keep_best(trainer: Trainer, run: RunFolder, history: EpochHistory) -> tuple[Path | None, float | None]:
    """Return the checkpoint to test and to use, and its validation accuracy.

    Without validation, the last checkpoint becomes best.ckpt. The checkpoint is None if the run keeps none.
    """
    callbacks = trainer.checkpoint_callbacks
    validated = [callback for callback in callbacks if isinstance(callback, BestCheckpoint)]
    if validated and validated[0].score is not None:
        return run.best, validated[0].accuracy
    val_accuracy = history.epochs[-1].get("val/accuracy") if history.epochs else None
    keeps_last = any(isinstance(callback, LastCheckpoint) for callback in callbacks)
    if not (keeps_last and run.last.is_file()):
        return None, val_accuracy
    copy_atomically(run.last, run.best)
    return run.best, val_accuracy


def summarize_run(
    cfg: DictConfig,
    trainer: Trainer,
    model: ImageClassifier,
    history: EpochHistory,
    throughput: Throughput,
    best: Path | None,
    val_accuracy: float | None,
    fit_seconds: float,
) -> dict[str, Any]:
    """Return the contents of result.json: accuracies in [0, 1], speed, size, checkpoint and command."""
    return {
        "train/accuracy": _rounded(history.epochs[-1].get("train/accuracy") if history.epochs else None),
        "val/accuracy": _rounded(val_accuracy),
        "test/accuracy": _rounded(trainer.callback_metrics.get("test/accuracy")),
        "epochs": history.epochs_done(),
        "stop_reason": stop_reason(trainer),  # null for a run of the planned length
        "images_per_second": round(throughput.images_per_second(trainer.world_size), 1),
        "fit_seconds": round(fit_seconds, 1),  # of this process
        "total_seconds": round(history.total_seconds(), 1),
        **measure_model(cfg, model),
        "checkpoint": str(best) if best else None,
        "command": train_command(command_line_overrides()),
    }


def write_results(
    cfg: DictConfig,
    trainer: Trainer,
    model: ImageClassifier,
    history: EpochHistory,
    result: dict[str, Any],
    run: RunFolder,
) -> None:
    """Write result.json, hyperparameters and plots, and log the accuracies."""
    write_json(run.result, result)  # first: no fault of a plot may lose the result
    log_hparams(trainer, _hparams(cfg), result)
    run.hparams.unlink(missing_ok=True)  # config.yaml has everything
    run.previous.unlink(missing_ok=True)
    if history.epochs:
        save_plot(plot_curves(history.epochs), run.curves)
    if (quality := model.test_quality) is not None:
        save_plot(plot_confusion(quality.confusion.tolist(), quality.classes), run.confusion)
    known = {stage: result[f"{name}/accuracy"] for name, stage in STAGES.items()}
    accuracies = ", ".join(f"{stage} {value:.4f}" for stage, value in known.items() if value is not None)
    log.info("")
    log.info(
        "accuracy  %s; %.0f s, %.0f images/s", accuracies, result["fit_seconds"], result["images_per_second"]
    )
    log.info("run       %s", run)
    if result["checkpoint"]:
        log.info("predict   python predict.py %s image=img.png", shlex.quote(f"ckpt={run}"))


def _rounded(accuracy: Any) -> float | None:
    """Round to six decimals, about the precision of float32; JSON has no NaN."""
    return None if accuracy is None or not math.isfinite(accuracy) else round(float(accuracy), 6)


def _hparams(cfg: DictConfig) -> dict[str, Any]:
    """Return the same flat keys for every run: TensorBoard compares only runs with equal keys."""
    weights = {} if cfg.model.get(WEIGHTS) is None else {WEIGHTS: cfg.model[WEIGHTS]}
    arguments = [f"{key}={value}" for key, value in (weights | network_arguments(cfg)).items()]
    return {
        "network": cfg.model.network,
        "filters": cfg.model.get("filters", 0),
        "model": ", ".join(arguments),
        "data": target_name(cfg.data.source),
        "input": f"{cfg.data.image_size}x{cfg.data.image_size}x{cfg.data.channels}",
        "batch_size": cfg.data.batch_size,
        "augmentation": target_name(cfg.augmentation),
        "mixing": target_name(cfg.mixing),
        "label_smoothing": cfg.task.get("label_smoothing", 0.0),
        "optimizer": target_name(cfg.optimizer),
        "learning_rate": cfg.optimizer.get("lr", 0.0),
        "weight_decay": cfg.optimizer.get("weight_decay", 0.0),
        "scheduler": target_name(cfg.scheduler),
        "epochs": cfg.trainer.max_epochs,
        "precision": str(cfg.trainer.precision),
        "seed": cfg.seed,
    }

"""One training run: from a checked configuration to a run folder with weights and results."""

import logging
import shlex
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig

from mobilenet_lab.callbacks.best_checkpoint import BestCheckpoint
from mobilenet_lab.callbacks.history import EpochHistory
from mobilenet_lab.callbacks.last_checkpoint import LastCheckpoint
from mobilenet_lab.checkpoints.locate import BEST, LAST, PREVIOUS
from mobilenet_lab.checkpoints.writer import copy_atomically
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.runs.folder import CONFUSION, CURVES, RESULT
from mobilenet_lab.runs.plots import draw_confusion, draw_curves
from mobilenet_lab.runs.tensorboard import log_hyperparameters
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.tasks.classification import ImageClassifier

log = logging.getLogger(__name__)


@rank_zero_only
def print_summary(
    cfg: DictConfig, datamodule: ImageDataModule, trainer: Trainer, size: dict[str, int], folder: Path
) -> None:
    parts = datamodule.subsets
    side, batch = cfg.data.image_size, cfg.data.batch_size
    ranks = f" on each of {trainer.world_size} ranks" if trainer.world_size > 1 else ""
    device = trainer.strategy.root_device
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    )
    log.info(
        "network  %s, filters %s, %s parameters, %.1f M multiply-accumulates a image",
        cfg.model.network,
        cfg.model.get("filters", "-"),
        f"{size['parameters']:,}",
        size["macs"] / 1e6,
    )
    log.info(
        "data     %s: %s images to train on, %s held out, %s to test; %dx%dx%d, batches of %d%s",
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


def keep_best(trainer: Trainer, folder: Path, history: EpochHistory) -> tuple[Path | None, float | None]:
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
    copy_atomically(last, best)
    return best, val_accuracy


def rounded(accuracy: Any) -> float | None:
    """Without the noise behind single precision's seventh digit."""
    return None if accuracy is None else round(float(accuracy), 6)


def finish(
    cfg: DictConfig,
    trainer: Trainer,
    model: ImageClassifier,
    history: EpochHistory,
    result: dict[str, Any],
    folder: Path,
) -> None:
    if history.epochs:
        draw_curves(folder / CURVES, history.epochs)
    if result["test/accuracy"] is not None:
        draw_confusion(folder / CONFUSION, model.test_confusion.tolist(), model.hparams["classes"])
    log_hyperparameters(cfg, trainer, result)
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
        "accuracy  %s; %.0f s, %.0f images/s",
        accuracies,
        result["fit_seconds"],
        result["images_per_second"],
    )
    log.info("run       %s", folder)
    if result["checkpoint"]:
        log.info("predict   python predict.py %s image=img.png", shlex.quote(f"ckpt={folder}"))

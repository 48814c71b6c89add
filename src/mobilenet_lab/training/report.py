"""Write report.html at the end of a run."""

import logging
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from omegaconf import DictConfig

from mobilenet_lab.callbacks.history import EpochHistory
from mobilenet_lab.callbacks.lr_finder import LearningRateFinder, LRFinderResult
from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.reports.faults import log_faults
from mobilenet_lab.reports.run_facts import RunRecord
from mobilenet_lab.reports.run_report import write_run_report
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.quality import Quality
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.training.summary import describe_run

log = logging.getLogger(__name__)


def write_report(
    cfg: DictConfig,
    datamodule: ImageDataModule,
    trainer: Trainer,
    model: ImageClassifier,
    history: EpochHistory,
    result: Mapping[str, Any],
    run: RunFolder,
) -> None:
    """Write the report of a finished run, and log its path. A fault of the report is logged, too."""
    with log_faults(run.report):
        split, quality = _quality(model)
        record = RunRecord(
            folder=run,
            cfg=cfg,
            result=result,
            epochs=history.epochs,
            facts=describe_run(cfg, datamodule, trainer, result),
            uses_gpu=trainer.strategy.root_device.type == "cuda",
            data_name=datamodule.source.name,
            split=split,
            quality=quality,
            range_test=_range_test(trainer),
        )
        write_run_report(record)
        log.info("report    %s", run.report)


def _quality(model: ImageClassifier) -> tuple[str, Quality | None]:
    """Return the statistics of the test images, or without a test those of the latest validation."""
    if model.test_quality is not None:
        return "test", model.test_quality
    return "validation", model.val_quality


def _range_test(trainer: Trainer) -> LRFinderResult | None:
    """Return the result of a learning-rate range test; None if the run is none."""
    finders = [c for c in trainer.callbacks if isinstance(c, LearningRateFinder)]  # type: ignore[attr-defined]
    return finders[0].result() if finders else None

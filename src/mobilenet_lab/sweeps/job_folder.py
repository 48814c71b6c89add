"""The run folder of a job of a sweep."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig


def job_folder(hydra: Any) -> Path:
    """Return the run folder of a job: `hydra.sweep.dir`/`hydra.sweep.subdir`."""
    return Path(hydra.sweep.dir) / str(hydra.sweep.subdir)


def use_job_folder(cfg: DictConfig) -> None:
    """Set `output_dir` to the folder of the job if a launcher calls the script inside a sweep."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        cfg.output_dir = str(job_folder(hydra))

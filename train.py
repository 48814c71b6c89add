"""Train a model: python train.py [group=choice] [key=value] ...; --help lists them all."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import hydra
from omegaconf import DictConfig

from mobilenet_lab.cli.errors import task_errors
from mobilenet_lab.cli.main import imports_without_gc, run
from mobilenet_lab.config.validate import check
from mobilenet_lab.sweeps.job_folder import use_job_folder
from mobilenet_lab.training.folder_claim import claim_run_folder


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Check the configuration, then train; return the metric that a sweep optimizes."""
    with task_errors():
        use_job_folder(cfg)
        check(cfg)
        with claim_run_folder(cfg):
            with imports_without_gc():
                from mobilenet_lab.training.run import train

            return train(cfg).get(cfg.objective)


if __name__ == "__main__":
    run(main)

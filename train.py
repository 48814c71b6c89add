"""Train: python train.py [group=choice] [key=value] ...; --help lists them all."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import hydra
from omegaconf import DictConfig

from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.cli.main import imports_without_gc, run
from mobilenet_lab.config.validate import check
from mobilenet_lab.sweeps.process_launcher import run_as_sweep_job


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Check the configuration, then train."""
    with one_line_errors():
        if run_as_sweep_job(Path(__file__)):
            return
        check(cfg)
        with imports_without_gc():
            from mobilenet_lab.training.run import train

        train(cfg)


if __name__ == "__main__":
    run(main)

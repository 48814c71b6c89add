"""Train: python train.py [group=choice] [key=value] ...; --help lists them all."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import hydra
from omegaconf import DictConfig

from mobilenet_lab import command_line
from mobilenet_lab.configuration import check


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Check the configuration, then train."""
    with command_line.one_line_errors():
        if command_line.run_as_sweep_job(Path(__file__)):
            return
        check(cfg)
        with command_line.quick_imports():
            from mobilenet_lab.train import train

        train(cfg)


if __name__ == "__main__":
    command_line.run(main)

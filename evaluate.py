"""Measure a checkpoint: python evaluate.py ckpt=... [data=...]; --help lists all settings."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import hydra
from omegaconf import DictConfig

from mobilenet_lab import command_line
from mobilenet_lab.configuration import check


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Check the configuration, then measure."""
    with command_line.one_line_errors():
        check(cfg)
        with command_line.quick_imports():
            from mobilenet_lab.evaluate import evaluate

        evaluate(cfg, Path(__file__).resolve().parent / "conf")


if __name__ == "__main__":
    command_line.run(main)

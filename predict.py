"""Classify images: python predict.py ckpt=... image=...; --help lists all settings."""

import gc
import sys
from pathlib import Path

gc.disable()  # until everything is imported, which takes most of the time
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import hydra
from omegaconf import DictConfig

from mobilenet_lab.checkpoints.locate import find_checkpoints
from mobilenet_lab.cli.errors import task_errors
from mobilenet_lab.cli.main import imports_without_gc, run
from mobilenet_lab.config.validate import check

statuses: list[int] = []  # exit status of each job; with -m there are several


@hydra.main(version_base="1.3", config_path="conf", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Check the configuration, then predict."""
    with task_errors():
        check(cfg)
        checkpoints = find_checkpoints(cfg.ckpt)
        with imports_without_gc():
            from mobilenet_lab.inference.predict import predict

        statuses.append(predict(cfg, checkpoints))


if __name__ == "__main__":
    run(main, looks_up_mode=False)
    sys.exit(max(statuses, default=0))

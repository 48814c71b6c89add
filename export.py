"""Export a checkpoint: python export.py ckpt=... format=...; --help lists all settings."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import hydra
from omegaconf import DictConfig

from mobilenet_lab.checkpoints.locate import find_checkpoints
from mobilenet_lab.cli.errors import task_errors
from mobilenet_lab.cli.main import imports_without_gc, run
from mobilenet_lab.config.validate import check
from mobilenet_lab.export.destination import find_output
from mobilenet_lab.export.formats import check_packages


@hydra.main(version_base="1.3", config_path="conf", config_name="export")
def main(cfg: DictConfig) -> None:
    """Check the configuration, then export."""
    with task_errors():
        check(cfg)
        check_packages(cfg.format)
        checkpoints = find_checkpoints(cfg.ckpt, allow_onnx=False)
        output = find_output(cfg.output, cfg.format, checkpoints, cfg.overwrite)
        with imports_without_gc():
            from mobilenet_lab.export.run import export

        export(cfg, checkpoints, output)


if __name__ == "__main__":
    run(main)

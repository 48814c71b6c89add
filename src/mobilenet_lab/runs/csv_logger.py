"""What a run that goes on takes over of what was logged before, so that its curves are whole."""

import csv
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from mobilenet_lab.runs.resume_logs import write_rows


class CSVLogger(loggers.CSVLogger):
    """metrics.csv; a run that goes on keeps the rows that there are, which Lightning's own would delete."""

    @property
    @rank_zero_experiment
    def experiment(self) -> "_Writer":
        """What writes the file."""
        if self._experiment is None:
            Path(self.root_dir).mkdir(parents=True, exist_ok=True)
            self._experiment = _Writer(self.log_dir)
        return self._experiment  # type: ignore[return-value]


class _Writer(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        write_rows(path, fieldnames, rows)

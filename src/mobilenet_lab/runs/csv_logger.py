"""Log metrics to a CSV file that a resumed run continues."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.resume_logs import STEP, write_rows

FLUSH_EVERY_N_STEPS = 100


class CSVLogger(Logger):
    """Logger that writes metrics.csv, with a row per call and a column per metric.

    Unlike Lightning's, it keeps the rows of the run that it resumes, and writes no hparams.yaml.

    Args:
        save_dir: The run folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self._run = RunFolder(Path(save_dir))
        self._columns: list[str] = []
        self._rows: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        """Empty: the folder of the run says it all."""
        return ""

    @property
    def version(self) -> str:
        """Empty: the folder of the run says it all."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self._run)

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Do nothing: config.yaml has all of them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        self._rows.append({**metrics, STEP: step})
        if step is not None and (step + 1) % FLUSH_EVERY_N_STEPS == 0:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the new rows; if they bring new columns, write the whole file again, atomically."""
        if not self._rows:
            return
        path, earlier = self._run.metrics, []
        if not self._columns and path.is_file():
            with path.open(newline="") as file:
                self._columns = next(csv.reader(file), [])
        columns = sorted({*self._columns, *(name for row in self._rows for name in row)})
        if columns == self._columns and path.is_file():
            with path.open("a", newline="") as file:
                csv.DictWriter(file, columns).writerows(self._rows)
        else:
            if path.is_file():
                with path.open(newline="") as file:
                    earlier = list(csv.DictReader(file))
            write_rows(path, columns, [*earlier, *self._rows])
        self._columns, self._rows = columns, []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the new rows."""
        self.save()

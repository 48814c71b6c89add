"""What a run that goes on takes over of what was logged before, so that its curves are whole."""

import csv
import shutil
from pathlib import Path

from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from mobilenet_lab.runtime.atomic_files import sync, write_atomically

METRICS = ExperimentWriter.NAME_METRICS_FILE
EVENTS = "events.out.tfevents.*"
STEP = "step"


def begin_logs(folder: Path, resumed: Path | None = None, step: int = 0) -> None:
    """Let the logs in a run's folder hold what was logged before a step, and nothing else.

    TensorBoard itself leaves out later events where the next file begins with a step to purge from.

    Args:
        folder: The run's.
        resumed: The checkpoint that the run goes on from; None where it begins.
        step: The first that will be logged.
    """
    before = resumed.parent.parent if resumed is not None else None
    rows = _rows_before(before / METRICS, step) if before is not None else []
    if before is None or before.resolve() != folder.resolve():
        for old in [folder / METRICS, *folder.glob(EVENTS)]:
            old.unlink(missing_ok=True)
        for events in sorted(before.glob(EVENTS)) if before is not None else []:
            shutil.copy2(events, folder)
    if rows:
        write_rows(folder / METRICS, list(rows[0]), rows)
    else:
        (folder / METRICS).unlink(missing_ok=True)


def sync_logs(folder: Path) -> None:
    """Bring what was logged in a run's folder onto the disk."""
    for path in [folder / METRICS, *folder.glob(EVENTS)]:
        if path.is_file():
            sync(path)


def _rows_before(path: Path, step: int) -> list[dict[str, str]]:
    """The rows of earlier steps, without one that was cut off or never came to the disk."""
    if not path.is_file():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [
        row
        for row in csv.DictReader(whole.splitlines())
        if (row[STEP] or "").isdigit() and int(row[STEP]) < step
    ]


def write_rows(path: Path, names: list[str], rows: list[dict[str, str]]) -> None:
    """Write a table that is whole or as it was."""

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)

"""Carry the logs of the earlier run over to the run that resumes it, so that curves have no gap."""

import csv
import shutil
from pathlib import Path

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.atomic_files import sync, write_atomically

STEP = "step"


def begin_logs(folder: Path, resumed: Path | None = None, step: int = 0) -> None:
    """Leave only the entries before a step in a run folder's logs.

    TensorBoard drops later events itself: the writer of the next file declares its first step.

    Args:
        folder: The run folder.
        resumed: The checkpoint that the run resumes from; None if it starts from scratch.
        step: The first step that will be logged.
    """
    run = RunFolder(folder)
    before = RunFolder.of_checkpoint(resumed) if resumed is not None else None
    rows = _rows_before(before.metrics, step) if before is not None else []
    if before is None or before.path.resolve() != folder.resolve():
        for old in [run.metrics, *run.event_files()]:
            old.unlink(missing_ok=True)
        for events in before.event_files() if before is not None else []:
            shutil.copy2(events, folder)
    if rows:
        write_rows(run.metrics, list(rows[0]), rows)
    else:
        run.metrics.unlink(missing_ok=True)


def sync_logs(folder: Path) -> None:
    """Bring the logs in a run folder onto the disk."""
    run = RunFolder(folder)
    for path in [run.metrics, *run.event_files()]:
        if path.is_file():
            sync(path)


def write_rows(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    """Write a CSV table atomically."""

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


def _rows_before(path: Path, step: int) -> list[dict[str, str]]:
    """Return the rows of earlier steps, without a last row that was cut off."""
    if not path.is_file():
        return []
    complete = path.read_text().rpartition("\n")[0]
    return [
        row
        for row in csv.DictReader(complete.splitlines())
        if (row[STEP] or "").isdigit() and int(row[STEP]) < step
    ]

"""Run what is missing of the table, then write it."""

import argparse
import fcntl
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.results import __doc__ as purpose
from mobilenet_lab.results.runs import ROWS, RUNS, Entry, collect, collect_ensemble, is_done, run_all
from mobilenet_lab.results.table import as_markdown, draw
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import available_cores

MIN_ENSEMBLE = 3


def main() -> None:
    """Run, collect, write docs/results.json, results.md and results.png."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m mobilenet_lab.results", description=purpose)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(names)} (default all)")
    parser.add_argument(
        "--seeds", nargs="+", type=int, help="default 0, 1 and so on, as many as the row asks for"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, sharing the cores (default 1)")
    parser.add_argument("--no-runs", action="store_true", help="collect finished runs and write the table")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="where to (default docs)")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: must be one of {', '.join(names)}")
    cores = available_cores()
    if options.jobs not in range(1, cores + 1):
        parser.error(f"--jobs is a number from 1 to {cores}, the cores that there are")
    rows = [row for row in ROWS if row.name in (options.rows or names)]
    wanted = [(row, seed) for row in rows for seed in options.seeds or range(row.num_seeds)]
    signal.signal(signal.SIGTERM, _end)
    with one_line_errors(), _alone():
        failed = [] if options.no_runs else run_all(wanted, options.jobs)
        path = options.output / "results.json"
        record: list[Entry] = json.loads(path.read_text()) if path.is_file() else []
        for row in rows:
            seeds = sorted(seed for of, seed in wanted if of is row and is_done(of, seed))
            for seed in seeds:
                record = _replace(record, collect(row, seed))
            if row.ensemble and len(seeds) >= MIN_ENSEMBLE:
                record = _replace(record, collect_ensemble(row, seeds))
            options.output.mkdir(parents=True, exist_ok=True)
            write_json(path, record)
        (options.output / "results.md").write_text(as_markdown(record))
        draw(options.output / "results.png", record)
        print(f"written   {options.output}/results.md, results.json, results.png")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Leave as after Ctrl-C: what runs is ended first, and writes its checkpoint."""
    raise SystemExit(128 + number)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep a second call from starting the same runs.

    Raises:
        InputError: there is one already.
    """
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{RUNS}: another make results is at work there") from error
        yield


def _replace(record: list[Entry], entry: Entry) -> list[Entry]:
    """Put an entry in place of an earlier one of the same run, and of those of another recipe."""
    row = entry["row"].removesuffix("_ensemble")
    kept = [
        old
        for old in record
        if old["row"].removesuffix("_ensemble") != row
        or (
            old["recipe"] == entry["recipe"]
            and (old["row"] != entry["row"] or old.get("seed") != entry.get("seed"))
        )
    ]
    return [*kept, entry]


if __name__ == "__main__":
    main()

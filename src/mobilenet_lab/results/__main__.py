"""Run what is missing of the table, then write it."""

import argparse
import json
import os
from pathlib import Path

from mobilenet_lab.report import write_json
from mobilenet_lab.results import __doc__ as purpose
from mobilenet_lab.results.runs import ROWS, Entry, collect, collect_ensemble, is_done, run_all
from mobilenet_lab.results.table import as_markdown, draw

MIN_ENSEMBLE = 3


def main() -> None:
    """Run, collect, write docs/results.json, results.md and results.png."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m mobilenet_lab.results", description=purpose)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(names)} (default all)")
    parser.add_argument("--seeds", nargs="+", type=int, help="default 0 1 2, for long recipes 0")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, sharing the cores (default 1)")
    parser.add_argument("--no-runs", action="store_true", help="collect finished runs and write the table")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="where to (default docs)")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: must be one of {', '.join(names)}")
    if options.jobs not in range(1, (os.cpu_count() or 1) + 1):
        parser.error(f"--jobs is a number from 1 to {os.cpu_count()}, the cores that there are")
    rows = [row for row in ROWS if row.name in (options.rows or names)]
    wanted = [(row, seed) for row in rows for seed in options.seeds or range(row.num_seeds)]
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


def _replace(record: list[Entry], entry: Entry) -> list[Entry]:
    """Put an entry in place of an earlier one of the same run, and of those of other settings."""
    kept = [
        old
        for old in record
        if old["row"] != entry["row"]
        or (old["settings"] == entry["settings"] and old.get("seed") != entry.get("seed"))
    ]
    return [*kept, entry]


if __name__ == "__main__":
    main()

"""Run the recipes that have no finished run, then write the results page."""

import argparse
import fcntl
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.results import __doc__ as description
from mobilenet_lab.results.page import render_page
from mobilenet_lab.results.plot import draw_accuracies
from mobilenet_lab.results.recipes import RECIPES, RUNS, Recipe, Run
from mobilenet_lab.results.records import Record, collect_ensemble_record, collect_record, replace_record
from mobilenet_lab.results.runner import is_finished, run_all
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.font_caches import use_writable_caches
from mobilenet_lab.runtime.machine import available_cores

MIN_ENSEMBLE = 3  # networks


def main(recipes: Sequence[Recipe] = RECIPES) -> None:
    """Run the recipes, and write results.json, results.md and results.png."""
    options = _parse_arguments([recipe.name for recipe in recipes])
    chosen = [recipe for recipe in recipes if recipe.name in options.recipes]
    runs = [Run(recipe, seed) for recipe in chosen for seed in options.seeds or range(recipe.num_seeds)]
    signal.signal(signal.SIGTERM, _exit_on_signal)
    use_writable_caches()
    with one_line_errors(), _exclusive_lock():
        failed = [] if options.no_runs else run_all(runs, options.jobs)
        options.output.mkdir(parents=True, exist_ok=True)
        records = _update_records(options.output / "results.json", chosen, runs)
        (options.output / "results.md").write_text(render_page(records))
        draw_accuracies(options.output / "results.png", records)
        print(f"Results written to {options.output}/results.md, results.json and results.png")
    if failed:
        raise SystemExit(f"failed: {', '.join(str(run.folder) for run in failed)}")


def _parse_arguments(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mobilenet_lab.results", description=description)
    add = parser.add_argument
    add("recipes", nargs="*", metavar="recipe", help=f"recipes to run: {', '.join(names)} (default all)")
    add(
        "--seeds",
        nargs="+",
        type=int,
        help="seeds to run (default 0, 1, ..., as many as the recipe asks for)",
    )
    add("--jobs", type=int, default=1, help="runs at a time, which share the cores (default 1)")
    add("--no-runs", action="store_true", help="start no runs, only write the page")
    add("--output", type=Path, default=Path("docs"), help="folder of the page (default docs)")
    options = parser.parse_args()
    if unknown := sorted(set(options.recipes) - set(names)):
        parser.error(f"{', '.join(unknown)}: no such recipe; choose from {', '.join(names)}")
    cores = available_cores()
    if options.jobs not in range(1, cores + 1):
        parser.error(f"--jobs={options.jobs}: must be from 1 to {cores}, the number of cores")
    options.recipes = options.recipes or names
    return options


def _update_records(path: Path, recipes: Sequence[Recipe], runs: Sequence[Run]) -> list[Record]:
    """Add all finished runs and their ensembles to the record, saving it after each recipe."""
    records: list[Record] = json.loads(path.read_text()) if path.is_file() else []
    for recipe in recipes:
        finished = sorted(
            (run for run in runs if run.recipe is recipe and is_finished(run)), key=lambda r: r.seed
        )
        for run in finished:
            records = replace_record(records, collect_record(run))
        if recipe.ensemble and len(finished) >= MIN_ENSEMBLE:
            records = replace_record(records, collect_ensemble_record(finished))
        write_json(path, records)
    return records


def _exit_on_signal(number: int, frame: FrameType | None) -> NoReturn:
    """Exit as after Ctrl-C: `run_all` stops the runs, and each writes a checkpoint."""
    raise SystemExit(128 + number)


@contextmanager
def _exclusive_lock() -> Iterator[None]:
    """Prevent two processes from running the same recipes.

    Raises:
        InputError: Another process holds the lock.
    """
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{RUNS}: another `make results` is running; wait for it or stop it") from error
        yield


if __name__ == "__main__":
    main()

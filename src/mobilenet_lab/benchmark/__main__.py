"""Run the benchmark: each case in a process of its own, all cases once per round."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mobilenet_lab.benchmark import __doc__ as description
from mobilenet_lab.benchmark.cases import available_cases
from mobilenet_lab.benchmark.report import as_markdown, summarize
from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.benchmark.workspace import prepare

FULL = {"steps": 150, "rounds": 3, "images": 10_000}
QUICK = {"steps": 12, "rounds": 1, "images": 1_000}


def main() -> None:
    """Run the cases, print a table, and write latest.json and latest.md."""
    options = _parse_arguments()
    cases = available_cases()
    if options.case:
        name, settings = options.case
        print(json.dumps(cases[name].run(Settings.from_dict(json.loads(settings)))))
        return
    extent = QUICK if options.quick else FULL
    rounds = options.rounds or extent["rounds"]
    chosen = options.only or [name for name, case in cases.items() if case.is_core or not options.quick]
    with tempfile.TemporaryDirectory() as work:
        settings = Settings(
            filters=options.filters,
            image_size=options.image_size,
            channels=options.channels,
            batch_size=options.batch_size,
            steps=extent["steps"],
            images=extent["images"],
            data=options.data,
            work=Path(work),
        )
        prepare(settings, large="loader_large" in chosen)
        samples = _measure(chosen, settings, rounds)
    summary = summarize(samples, settings, rounds)
    table = as_markdown(summary)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "latest.json").write_text(json.dumps(summary, indent=2) + "\n")
    (options.output / "latest.md").write_text(table)
    print(table)
    print(f"Results written to {options.output}/latest.json and latest.md")


def _parse_arguments() -> argparse.Namespace:
    cases = available_cases()
    parser = argparse.ArgumentParser(prog="python -m mobilenet_lab.benchmark", description=description)
    add = parser.add_argument
    add("--quick", action="store_true", help="run the main cases once, in under a minute")
    add("--only", nargs="+", choices=cases, metavar="CASE", help=f"cases to run: {', '.join(cases)}")
    add("--rounds", type=int, help="number of rounds (default 3, or 1 with --quick)")
    add("--filters", type=int, default=8, help="channel unit of the network (default %(default)s)")
    add("--image-size", type=int, default=32, help="height and width in pixels (default %(default)s)")
    add("--channels", type=int, default=1, choices=(1, 3), help="image channels (default %(default)s)")
    add("--batch-size", type=int, default=128, help="images per training batch (default %(default)s)")
    add("--data", type=Path, default=Path("data"), help="data folder (default %(default)s)")
    add("--output", type=Path, default=Path("outputs/benchmark"), help="results (default %(default)s)")
    add("--case", nargs=2, help=argparse.SUPPRESS)  # run one case in this process: name, settings as JSON
    options = parser.parse_args()
    if options.image_size < 28 or options.image_size % 2:
        parser.error(f"--image-size={options.image_size}: must be an even number of at least 28")
    if options.filters < 4 or options.filters % 4:
        parser.error(f"--filters={options.filters}: must be a positive multiple of 4")
    return options


def _measure(chosen: list[str], settings: Settings, rounds: int) -> dict[str, list[Figures]]:
    from tqdm import tqdm

    samples: dict[str, list[Figures]] = {case: [] for case in chosen}
    with tqdm(total=rounds * len(chosen), unit="run") as bar:
        for _ in range(rounds):
            for case in chosen:
                bar.set_description(case)
                samples[case].append(_run_case(case, settings))
                bar.update()
    return samples


def _run_case(case: str, settings: Settings) -> Figures:
    arguments = [case, json.dumps(settings.to_dict())]
    command = [sys.executable, "-m", "mobilenet_lab.benchmark", "--case", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmark case {case} failed:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()

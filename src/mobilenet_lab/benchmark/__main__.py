"""Measure and report: every case in a process of its own, rounds alternating between the cases."""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from mobilenet_lab.benchmark import __doc__ as purpose
from mobilenet_lab.benchmark.cases import CORE, Numbers, Settings, available, prepare
from mobilenet_lab.benchmark.report import as_markdown, summarise

FULL = {"steps": 150, "rounds": 3, "images": 10_000}
QUICK = {"steps": 12, "rounds": 1, "images": 1_000}


def main() -> None:
    """Measure, print a table, and write latest.json and latest.md."""
    cases = available()
    parser = argparse.ArgumentParser(prog="python -m mobilenet_lab.benchmark", description=purpose)
    parser.add_argument("--quick", action="store_true", help="the main cases once: under a minute")
    parser.add_argument("--only", nargs="+", choices=cases, metavar="CASE", help=f"of {', '.join(cases)}")
    parser.add_argument("--rounds", type=int, help="how often each case is measured (default 3)")
    parser.add_argument("--filters", type=int, default=8, help="channel unit of the network (default 8)")
    parser.add_argument("--image-size", type=int, default=32, help="pixels (default 32)")
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3), help="of images (default 1)")
    parser.add_argument("--batch-size", type=int, default=128, help="images in a batch (default 128)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the data folder (default data)")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"), help="where results go")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)  # a name, and the settings as JSON
    options = parser.parse_args()
    if options.image_size < 28 or options.image_size % 2 or options.filters % 4:
        parser.error("--image-size is an even number of at least 28, --filters a multiple of 4")
    if options.case:
        name, settings = options.case
        print(json.dumps(cases[name](_settings_from(settings))))
        return
    extent = QUICK if options.quick else FULL
    rounds = options.rounds or extent["rounds"]
    chosen = options.only or (list(CORE) if options.quick else list(cases))
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
    measured = summarise(samples, settings, rounds)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "latest.json").write_text(json.dumps(measured, indent=2) + "\n")
    table = as_markdown(measured)
    (options.output / "latest.md").write_text(table)
    print(table)
    print(f"written to {options.output}/latest.json and latest.md")


def _measure(chosen: list[str], settings: Settings, rounds: int) -> dict[str, list[Numbers]]:
    from tqdm import tqdm

    samples: dict[str, list[Numbers]] = {case: [] for case in chosen}
    with tqdm(total=rounds * len(chosen), unit="run") as bar:
        for _ in range(rounds):
            for case in chosen:
                bar.set_description(case)
                samples[case].append(_run_case(case, settings))
                bar.update()
    return samples


def _run_case(case: str, settings: Settings) -> Numbers:
    as_json = json.dumps(asdict(settings), default=str)
    command = [sys.executable, "-m", "mobilenet_lab.benchmark", "--case", case, as_json]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmark case {case} failed:\n{done.stderr}")
    numbers: Numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _settings_from(as_json: str) -> Settings:
    values = json.loads(as_json)
    return Settings(**values | {"data": Path(values["data"]), "work": Path(values["work"])})


if __name__ == "__main__":
    main()

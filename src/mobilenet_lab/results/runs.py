"""The rows of the table, the runs that fill them, and what is kept of each run."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mobilenet_lab.machine import commit, package_version, processor
from mobilenet_lab.report import write_json

ROOT = Path(__file__).resolve().parents[3]
RUNS = Path("outputs/results")
SHIFTS = 1  # pixels of the test-time shifts that are reported apart
PACKAGES = ("torch", "lightning")

Entry = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row of the table: one recipe.

    Args:
        name: Of the row and of its folder below outputs/results.
        title: What the table calls it.
        settings: What follows `python train.py`.
        num_seeds: Seeds 0, 1 and so on that are run unless others are asked for.
        ensemble: Whether the seeds' networks are also measured together.
    """

    name: str
    title: str
    settings: str
    num_seeds: int = 3
    ensemble: bool = False


ROWS = (
    Row("reference", "the original's recipe", "experiment=reference"),
    Row("default", "the default", ""),
    Row("one_epoch", "one epoch", "experiment=one_epoch"),
    Row("two_epochs", "two epochs", "experiment=two_epochs"),
    Row("two_epochs_050", "two epochs", "experiment=two_epochs model.filters=4"),
    Row("two_epochs_025", "two epochs", "experiment=two_epochs model.filters=2"),
    Row("best", "long", "experiment=best", num_seeds=1, ensemble=True),
    Row("narrow_050", "long", "experiment=narrow_050", num_seeds=1),
    Row("narrow_025", "long", "experiment=narrow_025", num_seeds=1),
    Row("fashion", "long, Fashion-MNIST", "experiment=fashion", num_seeds=1),
)


def folder_of(row: Row, seed: int) -> Path:
    """Where a run of the table lies."""
    return RUNS / row.name / f"seed{seed}"


def is_done(row: Row, seed: int) -> bool:
    """Whether the run is finished, and was of the recipe as it is now."""
    folder = folder_of(row, seed)
    if not (folder / "result.json").is_file():
        return False
    settings: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        overrides = [*shlex.split(row.settings), f"seed={seed}", f"output_dir={folder}"]
        now: Any = OmegaConf.to_container(compose("train", overrides=overrides), resolve=True)
    if now["model"]["stem_stride"] is None:  # filled in by the run
        settings["model"]["stem_stride"] = None
    return {**settings, "threads": None, "resume": None} == now


def run_all(wanted: Sequence[tuple[Row, int]], jobs: int) -> list[str]:
    """Run what is not done, so many at a time, each with its share of the cores.

    Returns:
        The names of the runs that failed; each run's output is in train.log in its folder.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    waiting = [(row, seed) for row, seed in wanted if not is_done(row, seed)]
    running: dict[Path, subprocess.Popen[bytes]] = {}
    failed = []
    while waiting or running:
        while waiting and len(running) < jobs:
            row, seed = waiting.pop(0)
            running[folder_of(row, seed)] = _start(row, seed, threads)
            print(f"{time.strftime('%H:%M')} began {row.name}, seed {seed}", flush=True)
        time.sleep(0.2)
        for folder, process in list(running.items()):
            if process.poll() is not None:
                del running[folder]
                word = "finished" if process.returncode == 0 else f"failed, see {folder}/train.log:"
                print(f"{time.strftime('%H:%M')} {word} {folder}", flush=True)
                failed += [str(folder)] if process.returncode else []
    return failed


def _start(row: Row, seed: int, threads: int) -> "subprocess.Popen[bytes]":
    folder = folder_of(row, seed)
    folder.mkdir(parents=True, exist_ok=True)
    settings = [*shlex.split(row.settings), f"seed={seed}", f"threads={threads}", f"output_dir={folder}"]
    if (folder / "checkpoints/last.ckpt").is_file() and not (folder / "result.json").is_file():
        settings.append(f"resume={folder}")
    with (folder / "train.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def collect(row: Row, seed: int) -> Entry:
    """What the record keeps of a finished run, its accuracy with test-time shifts measured the first time."""
    folder = folder_of(row, seed)
    return _once(folder / "result.json", folder / "entry.json", lambda: _entry(row, seed))


def _once(source: Path, kept: Path, measure: Callable[[], Entry]) -> Entry:
    """What `measure` gives, kept in a file that is taken as long as it is newer than its source."""
    if not kept.is_file() or kept.stat().st_mtime_ns < source.stat().st_mtime_ns:
        write_json(kept, measure())
    entry: Entry = json.loads(kept.read_text())
    return entry


def _entry(row: Row, seed: int) -> Entry:
    folder = folder_of(row, seed)
    result = json.loads((folder / "result.json").read_text())
    config = OmegaConf.load(folder / "config.yaml")
    measured = _evaluate([folder])
    was_resumed = config.resume is not None
    averaged = "average" in (config.callbacks or {})
    holds_out = result["val/accuracy"] is not None
    on_gpu = torch.cuda.is_available() and config.trainer.accelerator != "cpu"
    return {
        "row": row.name,
        "settings": row.settings,
        "seed": seed,
        "filters": config.model.filters,
        **{key: result[key] for key in ("test/accuracy", "val/accuracy", "train/accuracy")},
        "test/accuracy with shifts": measured["with_shifts"]["accuracy"],
        "epochs": result["epochs"],
        "minutes": None if was_resumed else round(result["fit_seconds"] / 60, 2),
        "parameters": result["parameters"],
        "macs": result["macs"],
        "weights": ("best epoch by validation" if holds_out else "last epoch")
        + (", averaged" if averaged else ""),
        **_where(on_gpu, config.threads),
    }


def collect_ensemble(row: Row, seeds: Sequence[int]) -> Entry:
    """What the record keeps of several seeds' networks together."""
    folders = [folder_of(row, seed) for seed in seeds]
    newest = max((folder / "result.json" for folder in folders), key=lambda path: path.stat().st_mtime_ns)
    kept = RUNS / row.name / f"ensemble-{'-'.join(map(str, seeds))}.json"
    return _once(newest, kept, lambda: _ensemble_entry(row, seeds, folders))


def _ensemble_entry(row: Row, seeds: Sequence[int], folders: Sequence[Path]) -> Entry:
    measured = _evaluate(folders)
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    return {
        "row": f"{row.name}_ensemble",
        "settings": row.settings,
        "seeds": list(seeds),
        "filters": OmegaConf.load(folders[0] / "config.yaml").model.filters,
        "test/accuracy": measured["accuracy"],
        "test/accuracy with shifts": measured["with_shifts"]["accuracy"],
        "parameters": sum(result["parameters"] for result in results),
        "macs": sum(result["macs"] for result in results),
        **_where(False, None),
    }


def _evaluate(folders: Sequence[Path]) -> dict[str, Any]:
    ckpt = f"ckpt=[{','.join(map(str, folders))}]"
    command = [sys.executable, str(ROOT / "evaluate.py"), ckpt, f"shifts={SHIFTS}", "format=json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _where(on_gpu: bool, threads: int | None) -> Entry:
    cores = os.cpu_count() or 1
    device = torch.cuda.get_device_name() if on_gpu else f"{processor()}, {threads or cores} of {cores} cores"
    return {
        "hardware": device,
        "versions": {name: package_version(name) for name in PACKAGES},
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
    }

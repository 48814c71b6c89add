"""The rows of the table, the runs that fill them, and what is kept of each run."""

import hashlib
import json
import shlex
import shutil
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

from mobilenet_lab.checkpoints.load import load_with_fallback
from mobilenet_lab.config.fingerprint import result_relevant_settings
from mobilenet_lab.runs.folder import LAST
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import ROOT, available_cores, commit, package_version, processor

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
        shifts: Whether test-time shifts are also measured, which takes as long as nine readings.
    """

    name: str
    title: str
    settings: str
    num_seeds: int = 3
    ensemble: bool = False
    shifts: bool = False


ROWS = (
    Row("reference", "the original's recipe", "experiment=reference"),
    Row("default", "the default", ""),
    Row("one_epoch", "one epoch", "experiment=one_epoch"),
    Row("two_epochs", "two epochs", "experiment=two_epochs"),
    Row("two_epochs_050", "two epochs", "experiment=two_epochs model.filters=4"),
    Row("two_epochs_025", "two epochs", "experiment=two_epochs model.filters=2"),
    Row("best", "long", "experiment=best", ensemble=True, shifts=True),
    Row("narrow_050", "long", "experiment=narrow_050", num_seeds=1, shifts=True),
    Row("narrow_025", "long", "experiment=narrow_025", num_seeds=4, ensemble=True, shifts=True),
    Row("fashion", "long, Fashion-MNIST", "experiment=fashion", num_seeds=1, shifts=True),
)


def folder_of(row: Row, seed: int) -> Path:
    """Where a run of the table lies."""
    return RUNS / row.name / f"seed{seed}"


def recipe_of(row: Row) -> str:
    """A fingerprint of all settings that a run's figures depend on."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", overrides=[*shlex.split(row.settings), f"output_dir={folder_of(row, 0)}"])
    kept = result_relevant_settings(cfg)
    del kept["seed"]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def is_done(row: Row, seed: int) -> bool:
    """Whether the run is finished, and was of the recipe as it is now."""
    folder = folder_of(row, seed)
    return (folder / "result.json").is_file() and _begun(folder).get("recipe") == recipe_of(row)


def run_all(wanted: Sequence[tuple[Row, int]], jobs: int) -> list[str]:
    """Run what is not done, so many at a time, each with its share of the cores.

    Whatever ends this ends the runs, too; the next call goes on with them.

    Returns:
        The folders of the runs that failed; each run's output is in train.log in its folder.
    """
    threads = max(1, available_cores() // jobs) if jobs > 1 else None
    waiting = [(row, seed) for row, seed in wanted if not is_done(row, seed)]
    running: dict[Path, subprocess.Popen[bytes]] = {}
    failed = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                row, seed = waiting.pop(0)
                running[folder_of(row, seed)] = _start(row, seed, threads)
            time.sleep(0.2)
            for folder, process in list(running.items()):
                if process.poll() is not None:
                    del running[folder]
                    word = "finished" if process.returncode == 0 else f"failed, see {folder}/train.log:"
                    _say(f"{word} {folder}")
                    failed += [str(folder)] if process.returncode else []
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return failed


def _start(row: Row, seed: int, threads: int | None) -> "subprocess.Popen[bytes]":
    """Begin a run, or go on with one of the same recipe that was interrupted, if only before its result."""
    folder, recipe = folder_of(row, seed), recipe_of(row)
    settings = [*shlex.split(row.settings), f"seed={seed}", f"output_dir={folder}"]
    if threads is not None:
        settings.append(f"num_num_threads={threads}")
    goes_on = _begun(folder).get("recipe") == recipe and _has_checkpoint(folder)
    if goes_on:
        settings.append(f"resume={folder}")
    elif folder.exists():
        if (folder / "result.json").is_file():
            _say(f"of another recipe, and run anew: {folder}")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "begun.json", {"recipe": recipe, **_where(threads)})
    _say(f"{'going on with' if goes_on else 'beginning'} {folder}")
    with (folder / "train.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches it through `run_all` alone: a second signal would end it without a checkpoint.
            start_new_session=True,
        )


def _begun(folder: Path) -> Entry:
    """What was noted when a run of the table began; empty where none did."""
    path = folder / "begun.json"
    begun: Entry = json.loads(path.read_text()) if path.is_file() else {}
    return begun


def _has_checkpoint(folder: Path) -> bool:
    """Whether there is one to go on from that can be read."""
    try:
        load_with_fallback(folder / "checkpoints" / LAST)
    except InputError:
        return False
    return True


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M')} {what}", flush=True)


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
    with_tta_shifts = _evaluate([folder])["tta"]["accuracy"] if row.shifts else None
    averaged = "average" in (config.callbacks or {})
    holds_out = result["val/accuracy"] is not None
    # Earlier versions did not note the time before a run went on.
    seconds = result.get("total_seconds", None if config.resume else result["fit_seconds"])
    return {
        "row": row.name,
        "settings": row.settings,
        "seed": seed,
        "filters": config.model.filters,
        **{key: result[key] for key in ("test/accuracy", "val/accuracy", "train/accuracy")},
        "test/accuracy with shifts": with_tta_shifts,
        "epochs": result["epochs"],
        "minutes": None if seconds is None else round(seconds / 60, 2),
        "parameters": result["parameters"],
        "macs": result["macs"],
        "weights": ("best epoch by validation" if holds_out else "last epoch")
        + (", averaged" if averaged else ""),
        **_begun(folder),
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
        "test/accuracy with shifts": measured["tta"]["accuracy"],
        "parameters": sum(result["parameters"] for result in results),
        "macs": sum(result["macs"] for result in results),
        "recipe": _begun(folders[0])["recipe"],
        **_where(None),
    }


def _evaluate(folders: Sequence[Path]) -> dict[str, Any]:
    """Measure one network or several together, on the CPU in single precision.

    Raises:
        InputError: evaluate.py failed; it has said why.
    """
    ckpt = f"ckpt=[{','.join(map(str, folders))}]"
    command = [sys.executable, str(ROOT / "evaluate.py"), ckpt, f"tta_shifts={SHIFTS}", "format=json"]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(f"{ckpt} cannot be measured")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _where(threads: int | None) -> Entry:
    cores = available_cores()
    on_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_gpu else f"{processor()}, {threads or cores} of {cores} cores"
    return {
        "hardware": device,
        "versions": {name: package_version(name) for name in PACKAGES},
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
    }

"""Records of finished runs and ensembles, as kept in docs/results.json."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mobilenet_lab.results.provenance import read_provenance
from mobilenet_lab.results.recipes import RUNS, Run
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.machine import ROOT
from mobilenet_lab.runtime.provenance import describe_environment

TTA_SHIFTS = 1  # pixels; averages over 3 x 3 shifts, so it takes nine times as long
ENSEMBLE = "_ensemble"  # suffix of the recipe's name in the record of an ensemble

Record = dict[str, Any]


def collect_record(run: Run) -> Record:
    """Return the record of a finished run, evaluating it first if its recipe asks for that."""
    return _cached(run.folder.record, [run.folder.result], lambda: _record_of(run))


def collect_ensemble_record(runs: Sequence[Run]) -> Record:
    """Return the record of the ensemble of a recipe's finished runs, evaluating it first."""
    seeds = "-".join(str(run.seed) for run in runs)
    cache = RUNS / runs[0].recipe.name / f"ensemble-{seeds}.json"
    return _cached(cache, [run.folder.result for run in runs], lambda: _ensemble_record_of(runs))


def records_of(records: Sequence[Record], name: str) -> list[Record]:
    """Return a recipe's records, sorted by seed."""
    found = (record for record in records if record["recipe"] == name)
    return sorted(found, key=lambda record: record.get("seed", -1))


def replace_record(records: Sequence[Record], new: Record) -> list[Record]:
    """Add a record, without earlier ones of the same run and those with other settings of its recipe."""

    def is_kept(old: Record) -> bool:
        if old["recipe"].removesuffix(ENSEMBLE) != new["recipe"].removesuffix(ENSEMBLE):
            return True
        is_same_run = old["recipe"] == new["recipe"] and old.get("seed") == new.get("seed")
        return old["fingerprint"] == new["fingerprint"] and not is_same_run

    return [*filter(is_kept, records), new]


def _cached(cache: Path, sources: Sequence[Path], measure: Callable[[], Record]) -> Record:
    """Return the record in a file, measuring it first if the file is missing or older than a source."""
    newest = max(source.stat().st_mtime_ns for source in sources)
    if not cache.is_file() or cache.stat().st_mtime_ns < newest:
        write_json(cache, measure())
    record: Record = json.loads(cache.read_text())
    return record


def _record_of(run: Run) -> Record:
    result = json.loads(run.folder.result.read_text())
    config = OmegaConf.load(run.folder.config)
    seconds = result["total_seconds"]
    weights = "last epoch" if result["val/accuracy"] is None else "best epoch by validation"
    return {
        "recipe": run.recipe.name,
        "overrides": run.recipe.overrides,
        "seed": run.seed,
        "filters": config.model.get("filters"),
        **{key: result[key] for key in ("test/accuracy", "val/accuracy", "train/accuracy")},
        "test/accuracy_tta": _evaluate([run])["tta"]["accuracy"] if run.recipe.tta else None,
        "epochs": result["epochs"],
        "minutes": None if seconds is None else round(seconds / 60, 2),
        "parameters": result["parameters"],
        "macs": result["macs"],
        "weights": f"{weights}, averaged" if "ema" in (config.callbacks or {}) else weights,
        **read_provenance(run),
    }


def _ensemble_record_of(runs: Sequence[Run]) -> Record:
    measured = _evaluate(runs)
    results = [json.loads(run.folder.result.read_text()) for run in runs]
    recipe = runs[0].recipe
    return {
        "recipe": f"{recipe.name}{ENSEMBLE}",
        "overrides": recipe.overrides,
        "seeds": [run.seed for run in runs],
        "filters": OmegaConf.load(runs[0].folder.config).model.get("filters"),
        "test/accuracy": measured["accuracy"],
        "test/accuracy_tta": measured["tta"]["accuracy"],
        "parameters": sum(result["parameters"] for result in results),
        "macs": sum(result["macs"] for result in results),
        "fingerprint": read_provenance(runs[0])["fingerprint"],
        **describe_environment(None),
    }


def _evaluate(runs: Sequence[Run]) -> dict[str, Any]:
    """Evaluate one network or an ensemble with evaluate.py, on the CPU in single precision.

    Raises:
        InputError: evaluate.py failed and has printed why.
    """
    ckpt = f"ckpt=[{','.join(str(run.folder) for run in runs)}]"
    command = [sys.executable, str(ROOT / "evaluate.py"), ckpt, f"tta_shifts={TTA_SHIFTS}", "format=json"]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(f"{ckpt}: evaluate.py failed with exit code {done.returncode}; see its error above")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured

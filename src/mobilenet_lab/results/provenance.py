"""The file `provenance.json` of a run: recipe fingerprint, hardware, versions, commit and date."""

import json
from typing import Any

from mobilenet_lab.results.recipes import Run, fingerprint
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.provenance import describe_environment


def write_provenance(run: Run, num_threads: int | None) -> None:
    """Record in a run's folder how it is started."""
    provenance = {"fingerprint": fingerprint(run.recipe), **describe_environment(num_threads)}
    write_json(run.folder.provenance, provenance)


def read_provenance(run: Run) -> dict[str, Any]:
    """Return the provenance in a run's folder, or an empty dict if it has none."""
    path = run.folder.provenance
    provenance: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return provenance

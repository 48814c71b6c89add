"""The report of a sweep: report.html in its folder, with links to the reports of the jobs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from mobilenet_lab.config.nested import shown
from mobilenet_lab.reports.charts import Point, accuracy_over_macs
from mobilenet_lab.reports.page import write_page
from mobilenet_lab.reports.sweep_record import FinishedJob, SweepRecord
from mobilenet_lab.runs.folder import RunFolder

SPLITS = {"val/accuracy": "validation", "test/accuracy": "test", "train/accuracy": "training"}


def write_sweep_report(sweep: SweepRecord) -> Path:
    """Write report.html into the folder of a sweep; return its path."""
    report = RunFolder(sweep.folder).report
    best_key, best = _best(sweep.jobs)
    values = {
        "folder": str(sweep.folder),
        "jobs": [_row(sweep, job) for job in sweep.jobs],
        "varied": sweep.varied,
        "accuracies": [key for key in sweep.columns if key in SPLITS],
        "others": [key for key in sweep.columns if key not in SPLITS],
        "best": best.name if best is not None else None,
        "best_accuracy": best.result[best_key] if best is not None else None,
        "split": SPLITS.get(best_key, ""),
        "chart": _chart(sweep.jobs),
        "failures": sweep.failures,
        "command": sweep.command,
    }
    titles = (
        ("jobs", "Jobs"),
        ("chart", "Accuracy over MACs"),
        ("failures", "Failed jobs"),
        ("command", "Command"),
    )
    write_page(
        report, "sweep.html", **values, sections=[(id_, title) for id_, title in titles if values[id_]]
    )
    return report


def _best(jobs: Sequence[FinishedJob]) -> tuple[str, FinishedJob | None]:
    """Return the best job and the metric that says so: validation accuracy, if the jobs have one."""
    for key in SPLITS:
        known = [job for job in jobs if job.result[key] is not None]
        if known:
            return key, max(known, key=lambda job: job.result[key])
    return "", None


def _row(sweep: SweepRecord, job: FinishedJob) -> dict[str, Any]:
    settings = [shown(job.settings[key]) if key in job.settings else None for key in sweep.varied]
    return {"name": job.name, "url": _url(sweep.folder, job), "settings": settings, "result": job.result}


def _url(folder: Path, job: FinishedJob) -> str | None:
    """Return the address of a job's report relative to the sweep's; None if the job has no report."""
    report = RunFolder(folder / job.name).report
    if not report.is_file():
        return None
    # The dot keeps a folder named "javascript:" from being a scheme.
    return f"./{quote(os.fsencode(report.relative_to(folder)))}"


def _chart(jobs: Sequence[FinishedJob]) -> Markup | None:
    """Return the plot of the test accuracies, or of the validation accuracies if there are none."""
    for key in ("test/accuracy", "val/accuracy"):
        points = [
            Point(job.name, job.result["macs"], job.result[key])
            for job in jobs
            if job.result[key] is not None and job.result["macs"]
        ]
        if points:
            return accuracy_over_macs(points, SPLITS[key])
    return None

"""Show the results of a sweep so far: results.csv and report.html in its folder."""

from pathlib import Path

from mobilenet_lab.reports.faults import log_faults
from mobilenet_lab.reports.sweep_record import SweepRecord
from mobilenet_lab.reports.sweep_report import write_sweep_report
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.invocation import command_line_overrides, train_command
from mobilenet_lab.sweeps.failures import failed_jobs
from mobilenet_lab.sweeps.results_table import RESULTS, finished_jobs, varied_settings, write_table


def summarize_sweep(folder: Path) -> None:
    """Write the table and the report of a sweep, and print their paths. A fault of the report is logged."""
    jobs = finished_jobs(folder)
    if jobs:
        print(f"table     {write_table(folder, jobs)}", flush=True)
    report = RunFolder(folder).report
    overrides = command_line_overrides()
    with log_faults(report):
        sweep = SweepRecord(
            folder=folder,
            jobs=jobs,
            failures=failed_jobs(folder, overrides),
            varied=varied_settings(jobs),
            columns=RESULTS,
            command=train_command(overrides) if overrides else None,
        )
        print(f"report    {write_sweep_report(sweep)}", flush=True)

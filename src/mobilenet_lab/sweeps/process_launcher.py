"""Run the jobs of a sweep one after another, each as its own process.

A job starts from its resolved configuration. It gets a clean process, and the ranks that it may start see its
arguments and not those of the sweep.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict

from mobilenet_lab.config.override_quoting import unquote_paths
from mobilenet_lab.config.validate import check
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.child_process import run_forwarding_signals
from mobilenet_lab.runtime.environment import ERROR_FILE, OVERRIDES_VARIABLE
from mobilenet_lab.runtime.errors import EXIT_WRONG_INPUT, InputError
from mobilenet_lab.runtime.invocation import config_options, resolved_config_arguments
from mobilenet_lab.sweeps.failures import describe_exit, record_failure
from mobilenet_lab.sweeps.job_folder import job_folder
from mobilenet_lab.training.folder_claim import check_contents


@dataclass(frozen=True)
class Job:
    """A finished job of a sweep.

    Attributes:
        number: Its number in the sweep.
        overrides: The overrides that make up the job.
        exit_code: 0 if it succeeded.
        objective: The metric that `objective` names; None if the job failed or has no such metric.
    """

    number: int
    overrides: list[str]
    exit_code: int
    objective: float | None = None


def run_job(job_config: DictConfig, overrides: Sequence[str]) -> Job:
    """Run one job of a sweep and wait for it.

    Args:
        job_config: The composed configuration of the job, including Hydra's own section.
        overrides: The overrides that make up the job.

    Raises:
        InputError: `output_dir` is set, but the sweep numbers the folders of its jobs itself.
    """
    if any(override.startswith("output_dir=") for override in overrides):
        raise InputError("output_dir: a sweep numbers its run folders; use hydra.sweep.dir=<folder> instead")
    HydraConfig.instance().set_config(job_config)
    number = int(job_config.hydra.job.num)
    run = RunFolder(job_folder(job_config.hydra))
    typed = unquote_paths(overrides)
    print(f"\njob {number}: {' '.join(typed)}", flush=True)
    try:
        cfg = _write_job_config(job_config, run)
    except (InputError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        record_failure(run, typed, str(error))
        return Job(number, list(overrides), EXIT_WRONG_INPUT)
    command = [sys.executable, sys.argv[0], *resolved_config_arguments(run.job_config)]
    settings = shlex.join([*_where_configured(job_config), *typed, f"output_dir={run}"])
    with TemporaryDirectory() as scratch:
        error_file = Path(scratch) / "error"
        environment = {OVERRIDES_VARIABLE: settings, ERROR_FILE: str(error_file)}
        code = run_forwarding_signals(command, environment)
        if code:
            reason = error_file.read_text(encoding="utf-8") if error_file.is_file() else describe_exit(code)
            record_failure(run, typed, reason)
            return Job(number, list(overrides), code)
    run.job_failure.unlink(missing_ok=True)
    result = run.read_result() or {}
    return Job(number, list(overrides), 0, result.get(cfg.objective))


def _where_configured(job_config: DictConfig) -> list[str]:
    """Return the arguments of the sweep that say where the configuration is, for the command of a job."""
    folders = [o for o in job_config.hydra.overrides.hydra if o.lstrip("+").startswith("hydra.searchpath=")]
    return [*config_options(sys.argv[1:]), *folders]


def job_returns(jobs: Sequence[Job]) -> list[JobReturn]:
    """Return the jobs in the form that Hydra's sweepers expect.

    A sweeper reports the error of the first failed job only, so the error names all of them.
    """
    failed = [f"{job.number} (exit code {job.exit_code})" for job in jobs if job.exit_code]
    error = InputError(f"jobs of the sweep failed: {', '.join(failed)}")
    returns = []
    for job in jobs:
        status = JobStatus.FAILED if job.exit_code else JobStatus.COMPLETED
        returned = JobReturn(overrides=job.overrides, status=status)
        returned.return_value = error if job.exit_code else job.objective
        returns.append(returned)
    return returns


def _write_job_config(job_config: DictConfig, run: RunFolder) -> DictConfig:
    """Check the configuration of a job and write it, resolved, to its folder."""
    cfg: Any = OmegaConf.masked_copy(job_config, [str(key) for key in job_config if key != "hydra"])
    with open_dict(cfg):
        cfg.output_dir = str(run)
    check(cfg)
    check_contents(run, cfg.resume, cfg.overwrite)
    run.job_config.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, run.job_config, resolve=True)
    return cfg

"""Hydra's launcher `process`: every job of a sweep is a process of its own.

Hydra finds launchers only in the namespace package `hydra_plugins`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write


@dataclass
class ProcessLauncherConf:
    """Configuration of `ProcessLauncher`."""

    _target_: str = "hydra_plugins.mobilenet_lab_launcher.ProcessLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="process", node=ProcessLauncherConf, provider="mobilenet_lab"
)


class ProcessLauncher(Launcher):
    """Runs the jobs of a sweep one after another. A failed job fails the sweep, but does not stop it."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the configuration of the sweep, and claim its folder before anything is written there."""
        from mobilenet_lab.sweeps.sweep_folder import claim_sweep_folder

        claim_sweep_folder(config)
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs and write the table and the report of the sweep after each.

        Args:
            job_overrides: The overrides of each job.
            initial_job_idx: Number of the first job.

        Returns:
            One return per job; its value is the objective.
        """
        from mobilenet_lab.sweeps.process_launcher import job_returns, run_job
        from mobilenet_lab.sweeps.summary import summarize_sweep

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = []
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            job_config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(job_config), read_write(job_config.hydra):
                job_config.hydra.sweep.dir = self.config.hydra.sweep.dir
                job_config.hydra.job.id = job_config.hydra.job.num = number
            jobs.append(run_job(job_config, filter_overrides(overrides)))
            summarize_sweep(Path(self.config.hydra.sweep.dir))
        return job_returns(jobs)

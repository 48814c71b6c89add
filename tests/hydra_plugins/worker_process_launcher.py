"""A launcher that calls the task function in worker processes, as those of joblib, Ray and submitit do."""

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class WorkerProcessLauncherConf:
    _target_: str = "hydra_plugins.worker_process_launcher.WorkerProcessLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="worker_process", node=WorkerProcessLauncherConf)


class WorkerProcessLauncher(Launcher):
    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        state, returns = Singleton.get_state(), []
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            receiver, sender = multiprocessing.Pipe(duplex=False)
            context = multiprocessing.get_context("fork")
            worker = context.Process(target=self._work, args=(config, state, sender))
            worker.start()
            returned: JobReturn = receiver.recv()
            worker.join()
            if returned.status.name == "COMPLETED":
                print(f"objective of job {number}: {returned.return_value}", flush=True)
            returns.append(returned)
        return returns

    def _work(self, config: DictConfig, state: object, sender: object) -> None:
        setup_globals()
        Singleton.set_state(state)
        returned = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        returned.cfg = returned.hydra_cfg = None
        sender.send(returned)  # type: ignore[attr-defined]

"""Prepare the run folder before the first step."""

import logging
from pathlib import Path

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.state import global_step
from mobilenet_lab.checkpoints.writer import copy_atomically
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.resume_logs import begin_logs
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.folder_contents import remove_run

log = logging.getLogger(__name__)


@rank_zero_only
def prepare_run_folder(
    cfg: DictConfig, run: RunFolder, resume: Path | None, step: int, keeps_best: bool
) -> None:
    """Remove the files of an earlier run, copy what a resumed run needs, and save the configuration.

    Call it last: a command that fails earlier must leave an earlier run untouched. `claim_run_folder` has
    refused a folder with files that may not be removed.

    Args:
        cfg: The configuration of this run.
        run: Its folder.
        resume: Checkpoint to resume from, or None.
        step: Step of that checkpoint; later log entries are dropped.
        keeps_best: Whether the run keeps its best checkpoint.
    """
    is_same = resume is not None and run.holds(resume)
    if is_same:
        for old in (run.result, run.report, *run.scratch_files()):
            old.unlink(missing_ok=True)
    else:
        remove_run(run)
    # Saved first: from here on, the folder is known to be a run's.
    write_atomically(run.config, lambda scratch: OmegaConf.save(cfg, scratch, resolve=True))
    if not is_same:
        if resume is not None and keeps_best and (best := resume.with_name(run.best.name)).is_file():
            copy_atomically(best, run.best)
    elif resume is not None and resume.name != run.last.name:
        # The run goes back to an earlier checkpoint, and its logs end there.
        keep = resume.with_name(run.previous.name)
        copy_atomically(resume, resume.with_name(run.last.name), keep if keep != resume else None)
    _discard_best_after(step, run.best)
    begin_logs(run.path, resume, step)


def _discard_best_after(step: int, best: Path) -> None:
    """Remove best.ckpt if it comes from a later step, which will be trained again."""
    if not best.is_file():
        return
    try:
        step_of_best = global_step(load_checkpoint(best))
        is_after = not isinstance(step_of_best, int) or step_of_best > step
    except InputError as error:
        log.warning("%s; the search for the best checkpoint starts over", error)
        is_after = True
    if is_after:
        best.unlink()

"""Prepare the run folder before the first step."""

import logging
import re
from pathlib import Path

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.state import global_step
from mobilenet_lab.checkpoints.writer import copy_atomically
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.resume_logs import begin_logs
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.invocation import command_line_overrides

log = logging.getLogger(__name__)

TIMED_FOLDER = re.compile(r".*\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d")  # the default output_dir


def create_run_folder(output_dir: str) -> RunFolder:
    """Create the run folder on rank 0 and return it.

    If two runs with the default folder start in the same second, the second one gets a number.
    """
    folder = Path(output_dir)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return RunFolder(folder)
    number = 1
    while folder.exists() and is_default_folder(output_dir):
        number += 1
        folder = Path(f"{output_dir}-{number}")
    folder.mkdir(parents=True, exist_ok=True)
    return RunFolder(folder)


def is_default_folder(output_dir: str) -> bool:
    """Return whether the folder is named after the start time and not given by the user."""
    is_given = any(s.startswith("output_dir=") and "${now" not in s for s in command_line_overrides())
    return TIMED_FOLDER.fullmatch(output_dir) is not None and not is_given


@rank_zero_only
def prepare_run_folder(
    cfg: DictConfig, run: RunFolder, resume: Path | None, step: int, keeps_best: bool
) -> None:
    """Remove the files of an earlier run, copy what a resumed run needs, and save the configuration.

    Call it last: a command that fails earlier must leave an earlier run untouched.

    Args:
        cfg: The configuration of this run.
        run: Its folder.
        resume: Checkpoint to resume from, or None.
        step: Step of that checkpoint; later log entries are dropped.
        keeps_best: Whether the run keeps its best checkpoint.
    """
    is_same = resume is not None and RunFolder.of_checkpoint(resume).path == run.path.resolve()
    checkpoints = [] if is_same else run.checkpoint_files()
    if checkpoints or (run.result.exists() and not is_same):
        log.warning("%s contains an earlier run; its files will be overwritten", run)
    for old in [run.result, *(path for path in checkpoints if path.resolve() != resume)]:
        old.unlink(missing_ok=True)
    if not is_same:
        for plot in (run.curves, run.confusion):
            plot.unlink(missing_ok=True)
        if resume is not None and keeps_best and (best := resume.with_name(run.best.name)).is_file():
            copy_atomically(best, run.best)
    elif resume is not None and resume.name != run.last.name:
        # The run goes back to an earlier checkpoint, and its logs end there.
        keep = resume.with_name(run.previous.name)
        copy_atomically(resume, resume.with_name(run.last.name), keep if keep != resume else None)
    _discard_best_after(step, run.best)
    begin_logs(run.path, resume, step)
    OmegaConf.save(cfg, run.config, resolve=True)


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

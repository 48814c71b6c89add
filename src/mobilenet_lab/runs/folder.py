"""One training run: from a checked configuration to a run folder with weights and results."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.locate import BEST, LAST, LATEST, PREVIOUS, folder_of
from mobilenet_lab.checkpoints.writer import copy_atomically
from mobilenet_lab.config.nested import callbacks, target_name
from mobilenet_lab.runs.resume_logs import begin_logs
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.invocation import command_line_overrides

log = logging.getLogger(__name__)
TIMED_FOLDER = re.compile(r".*\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d")  # the default output_dir


RESULT, CURVES, CONFUSION = "result.json", "curves.png", "confusion.png"


def result_in(folder: Path) -> dict[str, Any] | None:
    """What a finished run has left; None where there is nothing to be read."""
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError):
        return None
    return result


def make_run_folder(cfg: DictConfig) -> Path:
    """Make the folder on the first rank; of two runs of one second the later takes a number."""
    folder = Path(cfg.output_dir)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return folder
    number = 1
    while folder.exists() and is_default_folder(cfg.output_dir):
        number += 1
        folder = Path(f"{cfg.output_dir}-{number}")
    cfg.output_dir = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_default_folder(output_dir: str) -> bool:
    """Whether it is named by the time, and not by the user."""
    is_given = any(s.startswith("output_dir=") and "${now" not in s for s in command_line_overrides())
    return TIMED_FOLDER.fullmatch(output_dir) is not None and not is_given


@rank_zero_only
def begin_run_folder(cfg: DictConfig, folder: Path, resume: Path | None, step: int) -> None:
    """Let the folder hold what the run goes on with, logged before `step`, and nothing of another run.

    Only now: a command that fails before this leaves an earlier run as it is.
    """
    is_same = resume is not None and folder_of(resume) == folder.resolve()
    checkpoints = [] if is_same else [*folder.glob("checkpoints/*.ckpt")]
    if checkpoints or ((folder / RESULT).exists() and not is_same):
        log.warning("%s holds an earlier run, whose files are replaced", folder)
    # What is left of an earlier run must not be taken for this one's.
    for old in [folder / RESULT, *(path for path in checkpoints if path.resolve() != resume)]:
        old.unlink(missing_ok=True)
    if not is_same:
        for name in (CURVES, CONFUSION):
            (folder / name).unlink(missing_ok=True)
        keeps_best = "BestCheckpoint" in map(target_name, callbacks(cfg))
        if resume is not None and keeps_best and (best := resume.with_name(BEST)).is_file():
            copy_atomically(best, folder / "checkpoints" / BEST)
    elif resume is not None and resume.name != LAST:
        # The logs end there from now on.
        keep = resume.with_name(PREVIOUS)
        copy_atomically(resume, resume.with_name(LAST), keep if keep != resume else None)
    _forget_best_after(step, folder / "checkpoints" / BEST)
    begin_logs(folder, resume, step)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)


def _forget_best_after(step: int, best: Path) -> None:
    """Remove the best of steps that are taken anew; the next validation is the best then."""
    if not best.is_file():
        return
    try:
        step_of_best = load_checkpoint(best)["global_step"]
        is_after = not isinstance(step_of_best, int) or step_of_best > step
    except InputError as error:
        log.warning("%s; the best is looked for anew", error)
        is_after = True
    if is_after:
        best.unlink()


@contextmanager
def latest_symlink(folder: Path) -> Iterator[None]:
    """Let outputs/latest point at the run; one that ends without a checkpoint gives it back."""
    is_folder = LATEST.exists() and not LATEST.is_symlink()
    if is_folder:
        log.warning("%s is no link, and is left as it is", LATEST)
    if is_folder or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield
        return
    before = LATEST.readlink() if LATEST.is_symlink() else None
    LATEST.parent.mkdir(exist_ok=True)
    _point_latest_at(Path(os.path.relpath(folder, LATEST.parent)))
    try:
        yield
    finally:
        if before is not None and not list(folder.glob("checkpoints/*.ckpt")):
            _point_latest_at(before)


def _point_latest_at(target: Path) -> None:
    scratch = LATEST.with_name(f".latest-{os.getpid()}")
    scratch.symlink_to(target, target_is_directory=True)
    scratch.replace(LATEST)

"""Claim the run folder for one run, before anything heavy is imported."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig

from mobilenet_lab.checkpoints.locate import find_checkpoint
from mobilenet_lab.config.validate import AUTO
from mobilenet_lab.runs.folder import LATEST, RunFolder
from mobilenet_lab.runs.lock import folder_lock
from mobilenet_lab.runs.run_path import run_path
from mobilenet_lab.runtime.encoding import is_utf8, shown_path
from mobilenet_lab.runtime.environment import is_first_rank
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.invocation import command_line_overrides
from mobilenet_lab.training.folder_contents import entries, files_in_the_way, holds_run

TIMED_FOLDER = re.compile(r".*\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d")  # the default output_dir
MAX_NAMES = 3  # that a message lists

_claimed: set[Path] = set()  # by this process


@contextmanager
def claim_run_folder(cfg: DictConfig) -> Iterator[None]:
    """Create `output_dir` and lock it until the block ends; set it to the real path of the folder.

    Only rank 0 does that, for all ranks. The folder is removed again if it stays empty. A claim within a
    claim of the same folder has no effect: the script claims it before PyTorch is imported, `train` for those
    who call it from Python.

    Args:
        cfg: The configuration of the run. If two runs with the default folder start in the same second, the
            second one gets a number.

    Raises:
        InputError: The folder is in use, or it holds files that the run would replace or remove.
    """
    folder = real_path(cfg.output_dir)
    if not is_first_rank() or folder.absolute() in _claimed:
        cfg.output_dir = str(folder)
        yield
        return
    is_default = is_default_folder(cfg.output_dir)
    if is_default and cfg.resume == AUTO:
        raise InputError(
            "resume=auto: needs output_dir=<folder>; the default folder is named after the start time "
            "and would never be found again"
        )
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(folder) if is_default else existing_folder(folder))
        stack.enter_context(folder_lock(RunFolder(folder).lock, f"output_dir={folder}"))
        check_contents(RunFolder(folder), cfg.resume, cfg.overwrite)
        _claimed.add(folder.absolute())
        stack.callback(_claimed.discard, folder.absolute())
        cfg.output_dir = str(folder)
        yield


def check_contents(run: RunFolder, resume: str | None, overwrite: bool) -> None:
    """Refuse a folder that holds a run or other files, unless the user has said what to do with them.

    Args:
        run: The run folder.
        resume: The setting `resume`.
        overwrite: The setting `overwrite`.

    Raises:
        InputError: The folder holds files that the run would remove or replace.
    """
    if not run.path.is_dir():
        return
    resumes = _resumes_in(run, resume)
    if not resumes and not overwrite and resume != AUTO and (found := entries(run)):
        what = "a run" if holds_run(run) else f"other files ({listed(found, run.path)})"
        raise InputError(
            f"output_dir={run}: the folder holds {what}; use resume=auto to continue a run there, another "
            "folder, or overwrite=true, which removes only files of a run"
        )
    if foreign := files_in_the_way(run, resumes):
        names = listed(foreign, run.path)
        raise InputError(
            f"output_dir={run}: the run would replace files that no run has written ({names}); move them "
            "away or use another folder"
        )


def real_path(folder: str, key: str = "output_dir") -> Path:
    """Return the path of a folder without symbolic links; unchanged if it has none.

    A run must not follow `outputs/latest`, which may point to another run before this one ends.

    Args:
        folder: The path.
        key: Name of the setting, for error messages.

    Raises:
        InputError: The path has a loop of links, a name that is not UTF-8, or is the name of the link.
    """
    given = Path(folder)
    try:
        real = run_path(given)
        latest = LATEST.parent.resolve() / LATEST.name
    except (RuntimeError, OSError) as error:  # RuntimeError: a loop, before Python 3.13
        raise InputError(
            f"{key}={given}: the path cannot be followed, for example because links form a loop; use "
            "another folder"
        ) from error
    if real.is_relative_to(latest):
        raise InputError(
            f"{key}={given}: {LATEST} is the name of the link to the newest run; use another folder"
        )
    if str(real) == os.path.abspath(given):  # noqa: PTH100 - `Path.absolute` keeps "..", which may follow a link
        path = given
    else:
        path = real.relative_to(Path.cwd()) if real.is_relative_to(Path.cwd()) else real
    if not is_utf8(str(path)):  # TensorBoard cannot open it
        name = shown_path(path)
        raise InputError(f"{key}={shown_path(given)}: {name} is not valid UTF-8; use another folder")
    return path


def is_default_folder(output_dir: str) -> bool:
    """Return whether the folder is named after the start time and not given by the user."""
    is_given = any(s.startswith("output_dir=") and "${now" not in s for s in command_line_overrides())
    return TIMED_FOLDER.fullmatch(output_dir) is not None and not is_given


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create a folder that did not exist, with a number if another process was first; yield its path."""
    number, path = 1, folder
    while True:
        with ExitStack() as stack:
            stack.enter_context(existing_folder(path.parent))
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                path = folder.with_name(f"{folder.name}-{number}")
                continue
            stack.callback(_remove_if_empty, path)
            yield path
            return


@contextmanager
def existing_folder(folder: Path) -> Iterator[Path]:
    """Create a folder and its parents if they are missing; remove those that stay empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        for path in missing:
            _remove_if_empty(path)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty
        folder.rmdir()


def _resumes_in(run: RunFolder, resume: str | None) -> bool:
    """Return whether the run resumes from a checkpoint in its own folder."""
    if resume is None:
        return False
    if resume == AUTO:
        return run.has_resumable_checkpoint()
    return run.holds(find_checkpoint(resume, "resume", prefer="last"))


def listed(paths: list[Path], folder: Path) -> str:
    """Return the first names of files in a folder, and how many more there are."""
    names = [str(path.relative_to(folder)) for path in paths]
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")

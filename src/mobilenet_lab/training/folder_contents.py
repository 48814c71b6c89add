"""What a folder holds: files of a run, which may be removed, and files of the user, which may not."""

import os
from contextlib import suppress
from pathlib import Path

from mobilenet_lab.checkpoints.origin import is_own_checkpoint
from mobilenet_lab.runs.exported import is_export
from mobilenet_lab.runs.folder import RunFolder

# In the saved configuration of every run: names of this package's classes, and two of its keys
CONFIG_MARKS = (b"mobilenet_lab.", b"\noutput_dir:", b"\nobjective:")
FRESH_VOLUME = "lost+found"  # in the root of an empty disk
MAX_CONFIG_BYTES = 1 << 20


def holds_run(run: RunFolder) -> bool:
    """Return whether a run, finished or not, has written into the folder."""
    checkpoints = run.written_checkpoints()
    return _is_own_config(run.config) or any(is_own_checkpoint(path) for path in checkpoints)


def entries(run: RunFolder) -> list[Path]:
    """Return the entries of the folder, except what a run finds in a folder that was prepared for it.

    This is the configuration of a sweep's job, what `make results` writes before the start, and the file that
    the shell has opened for the output of this process.
    """
    prepared = {run.lock, run.job_config.parent, run.provenance, run.train_log, run.path / FRESH_VOLUME}
    prepared |= set(run.scratch_files())
    return sorted(path for path in run.path.iterdir() if path not in prepared and not _is_own_output(path))


def files_in_the_way(run: RunFolder, resumes: bool) -> list[Path]:
    """Return the files that a run would replace although no run has written them.

    Empty files are left out: they hold nothing, and a crash of the machine may leave them.

    Args:
        run: The run folder.
        resumes: Whether the run resumes from a checkpoint in the folder, which is then known to be a run's.
    """
    foreign = [] if _is_own_config(run.config) else [run.config]
    if not resumes:
        checkpoints = [path for path in run.written_checkpoints() if os.path.lexists(path)]
        if checkpoints and run.checkpoints.is_symlink():  # they belong to another folder
            foreign.append(run.checkpoints)
        else:
            foreign += [path for path in checkpoints if not is_own_checkpoint(path)]
        if not run.exports.is_symlink():
            foreign += [path for path in run.exported_files() if not is_export(path)]
        if not holds_run(run):
            foreign += run.written_files()
    found = {path for path in foreign if os.path.lexists(path) and not _is_empty_file(path)}
    if os.path.lexists(run.checkpoints) and not run.checkpoints.is_dir():
        found.add(run.checkpoints)
    return sorted(found)


def remove_run(run: RunFolder) -> None:
    """Remove the files that a run has written; keep all others.

    Call it only if `files_in_the_way` returns nothing. Links are removed and never followed.
    """
    own = [*run.written_files(), *run.written_checkpoints(), *run.exported_files(), *run.scratch_files()]
    if run.config.is_file():  # otherwise they are about the run that starts now
        own += run.derived_files()
    folders = (run.checkpoints, run.exports, run.projector)
    linked = [folder for folder in folders if folder.is_symlink()]
    for path in own:
        # The configuration is replaced last: a folder that is half cleared is still known to be a run's.
        if path != run.config and path.parent not in linked:
            path.unlink(missing_ok=True)
    for folder in folders:
        with suppress(OSError):  # it is missing, a link, or holds other files
            folder.rmdir()


def _is_own_config(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > MAX_CONFIG_BYTES:
        return False
    content = b"\n" + path.read_bytes()
    return all(mark in content for mark in CONFIG_MARKS)


def _is_empty_file(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _is_own_output(path: Path) -> bool:
    """Return whether standard output or standard error of this process goes to a file."""
    if not path.is_file():
        return False
    for descriptor in (1, 2):
        with suppress(OSError):  # it is closed
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return True
    return False

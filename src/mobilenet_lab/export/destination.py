"""Where an exported file goes, and which files it may replace."""

import os
from collections.abc import Sequence
from pathlib import Path

from mobilenet_lab.checkpoints.imagenet import IMAGENET, imagenet_path
from mobilenet_lab.runs.exported import is_export
from mobilenet_lab.runs.folder import EXPORTS, RunFolder
from mobilenet_lab.runtime.errors import InputError


def find_output(output: str | None, name: str, checkpoints: Sequence[Path], overwrite: bool) -> Path:
    """Return the path to write to, before anything heavy is imported.

    Args:
        output: The setting `output`. None is the folder `export` of the run, the folder of a checkpoint that
            is in no run, or the working directory for the ImageNet weights.
        name: The format.
        checkpoints: Checkpoint files.
        overwrite: Whether a file that no export has written may be replaced.

    Raises:
        InputError: The path cannot be used, or holds a file that no export has written.
    """
    path = _default(name, checkpoints) if output is None else Path(output)
    suffix = Path(EXPORTS[name]).suffix
    if path.suffix != suffix:
        fitting = [known for known, file in EXPORTS.items() if Path(file).suffix == path.suffix]
        advice = f"format={fitting[0]}" if fitting else str(path.with_suffix(suffix))
        raise InputError(f"output={path}: is not a {suffix} file, as for format={name}; use {advice}")
    if path.is_dir():
        raise InputError(f"output={path}: is a folder; use for example {path / EXPORTS[name]}")
    if path.exists() and not path.is_file():
        raise InputError(f"output={path}: is a pipe or a device; use another output")
    if path.exists() and not overwrite and not is_export(path):
        raise InputError(
            f"output={path}: export.py has not written this file; use overwrite=true or another output"
        )
    return path


def _default(name: str, checkpoints: Sequence[Path]) -> Path:
    if len(checkpoints) > 1:
        raise InputError(f"output=null: there are {len(checkpoints)} checkpoints; use output=<file>")
    (checkpoint,) = checkpoints
    run = RunFolder.of_checkpoint(checkpoint)
    if run.checkpoints == checkpoint.parent:
        path = run.exported(name)
    elif checkpoint == imagenet_path():  # is in the user's cache folder
        path = Path(EXPORTS[name].replace("model", IMAGENET, 1)).absolute()
    else:
        path = checkpoint.with_name(EXPORTS[name].replace("model", checkpoint.stem, 1))
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def size_of(paths: Sequence[Path]) -> int:
    """Return the size of files in bytes."""
    return sum(os.path.getsize(path) for path in paths)  # noqa: PTH202

"""Claim the folder of a sweep, so that two sweeps never mix their jobs."""

import atexit
from contextlib import ExitStack
from typing import Any

from omegaconf import open_dict, read_write

from mobilenet_lab.config.override_quoting import unquote_paths
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.lock import folder_lock
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.folder_claim import (
    TIMED_FOLDER,
    existing_folder,
    listed,
    new_folder,
    real_path,
)

SWEEP_DIR = "hydra.sweep.dir"
KEEPING = ("resume=auto", "overwrite=true")  # settings that say what happens to the runs in the folder


def claim_sweep_folder(config: Any) -> None:
    """Create `hydra.sweep.dir` and lock it until this process ends; set it to the real path of the folder.

    Args:
        config: The configuration of the sweep. If two sweeps with the default folder start in the same
            second, the second one gets a number.

    Raises:
        InputError: The folder is in use, or it holds another sweep.
    """
    hydra = config.hydra
    folder = real_path(hydra.sweep.dir, SWEEP_DIR)
    is_given = any(override.lstrip("+").startswith(f"{SWEEP_DIR}=") for override in hydra.overrides.hydra)
    is_default = not is_given and TIMED_FOLDER.fullmatch(hydra.sweep.dir) is not None
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(folder) if is_default else existing_folder(folder))
        lock = RunFolder(folder).lock
        stack.enter_context(folder_lock(lock, f"{SWEEP_DIR}={folder}"))
        names = sorted(path for path in folder.iterdir() if path != lock)
        if names and not {setting.lower() for setting in unquote_paths(hydra.overrides.task)} & {*KEEPING}:
            raise InputError(
                f"{SWEEP_DIR}={folder}: the folder holds other files ({listed(names, folder)}); use "
                "resume=auto to continue the sweep, another folder, or overwrite=true, which removes only "
                "files of the jobs"
            )
        with read_write(hydra), open_dict(hydra):
            hydra.sweep.dir = str(folder)
        atexit.register(stack.pop_all().close)

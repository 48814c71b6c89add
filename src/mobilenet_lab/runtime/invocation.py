"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import os
import shlex
import sys
from pathlib import Path

from mobilenet_lab.runtime.environment import OVERRIDES_VARIABLE


def resume_command(folder: Path) -> str:
    """What goes on with a run: the command that began it, with `resume`."""
    kept = [setting for setting in command_line_overrides() if not setting.startswith("resume=")]
    return shlex.join(["python", "train.py", *kept, f"resume={folder}"])


def command_line_overrides() -> list[str]:
    """What followed train.py on the command line; nothing where something else calls us."""
    if OVERRIDES_VARIABLE in os.environ:
        return shlex.split(os.environ[OVERRIDES_VARIABLE])
    for i, argument in enumerate(sys.orig_argv):  # as it was, without the quotes that Hydra needs
        if Path(argument).name == "train.py":
            return sys.orig_argv[i + 1 :]
    return []


def pass_config_to_ranks(folder: Path) -> None:
    """Lightning starts the other ranks with our arguments: they shall get this very configuration."""
    os.environ[OVERRIDES_VARIABLE] = shlex.join(command_line_overrides())
    sys.argv[1:] = [f"--config-path={folder.resolve()}", "--config-name=config", "hydra/job_logging=stdout"]

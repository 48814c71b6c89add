"""The command line of a run: what the user typed, how to resume, and what other ranks are started with."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mobilenet_lab.runtime.environment import OVERRIDES_VARIABLE

TRAIN_SCRIPT = "train.py"


def command_line_overrides() -> list[str]:
    """Return the overrides that the user gave to train.py; empty if another program called it.

    A rank or a sweep job gets its resolved configuration instead, and the overrides in an environment
    variable.
    """
    if OVERRIDES_VARIABLE in os.environ:
        return shlex.split(os.environ[OVERRIDES_VARIABLE])
    for i, argument in enumerate(sys.orig_argv):  # unlike sys.argv, without the quotes that Hydra needs
        if Path(argument).name == TRAIN_SCRIPT:
            return sys.orig_argv[i + 1 :]
    return []


def config_options(arguments: Sequence[str]) -> list[str]:
    """Return Hydra's options among the arguments that say where the configuration is: `--config-dir=mine`."""
    from hydra._internal.utils import get_args_parser  # prediction from Python needs no Hydra

    given = vars(get_args_parser().parse_known_args(list(arguments))[0])
    names = ("config_path", "config_name", "config_dir")
    return [f"--{name.replace('_', '-')}={given[name]}" for name in names if given[name] is not None]


def train_command(overrides: list[str]) -> str:
    """Return the shell command that trains with these overrides."""
    return shlex.join(["python", TRAIN_SCRIPT, *overrides])


def resume_command(folder: Path) -> str:
    """Return the shell command that resumes the run in a folder."""
    kept = [s for s in command_line_overrides() if not s.startswith(("resume=", "overwrite="))]
    return train_command([*kept, f"resume={folder}"])


def resolved_config_arguments(config: Path) -> list[str]:
    """Return the arguments with which train.py runs a resolved configuration file."""
    return [
        f"--config-path={config.resolve().parent}",
        f"--config-name={config.stem}",
        "hydra/job_logging=stdout",
        # As in conf/train.yaml: Hydra's default creates a folder outputs/<date>/<time>.
        "hydra.run.dir=.",
        "hydra.output_subdir=null",
    ]


def pass_config_to_ranks(config: Path) -> None:
    """Let the ranks that Lightning starts with our `sys.argv` read the resolved configuration.

    Composing it again could give other values, for example another time in `output_dir`.
    """
    os.environ[OVERRIDES_VARIABLE] = shlex.join(command_line_overrides())
    sys.argv[1:] = resolved_config_arguments(config)

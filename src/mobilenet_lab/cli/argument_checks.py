"""Refuse arguments that Hydra would ignore without a word."""

from collections.abc import Sequence
from pathlib import Path

from mobilenet_lab.config.override_quoting import is_sweep
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.invocation import TRAIN_SCRIPT

RUN_DIR, SWEEP = "hydra.run.dir", "hydra.sweep."
HERE = (".", "'.'", '"."')  # the value of hydra.run.dir that has no effect


def check_arguments(script: str, arguments: Sequence[str]) -> None:
    """Check the command line before Hydra sees it and creates folders.

    Args:
        script: The script's path.
        arguments: Its arguments.

    Raises:
        InputError: An argument sets a folder that is not used.
    """
    sweeps = is_sweep(arguments)
    is_training = Path(script).name == TRAIN_SCRIPT
    for argument in arguments:
        key, equals, value = argument.partition("=")
        key = key.lstrip("+")
        if not equals:
            continue
        if key == RUN_DIR and value not in HERE:
            instead = "hydra.sweep.dir" if sweeps else "output_dir"
            hint = f"use {instead}={value}" if is_training else "remove it, the script writes no folder"
            raise InputError(f"{RUN_DIR}={value}: has no effect; {hint}")
        if key.startswith(SWEEP) and not sweeps:
            hint = "add -m, or use output_dir" if is_training else "remove it"
            raise InputError(f"{key}={value}: has an effect only in a sweep; {hint}")

"""Refuse arguments that Hydra would ignore without a word."""

from collections.abc import Sequence
from pathlib import Path

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.invocation import TRAIN_SCRIPT

RUN_DIR, SWEEP = "hydra.run.dir", "hydra.sweep."
HERE = (".", "'.'", '"."')  # the value of hydra.run.dir that has no effect
SWEEP_FLAGS = ("-m", "--multirun", "hydra.mode=MULTIRUN")


def check_arguments(script: str, arguments: Sequence[str]) -> None:
    """Check the command line before Hydra sees it and creates folders.

    Args:
        script: The script's path.
        arguments: Its arguments.

    Raises:
        InputError: An argument sets a folder that is not used.
    """
    is_sweep = any(argument in SWEEP_FLAGS for argument in arguments)
    is_training = Path(script).name == TRAIN_SCRIPT
    for argument in arguments:
        key, equals, value = argument.partition("=")
        key = key.lstrip("+")
        if not equals:
            continue
        if key == RUN_DIR and value not in HERE:
            instead = "hydra.sweep.dir" if is_sweep else "output_dir"
            hint = f"use {instead}={value}" if is_training else "remove it, the script writes no folder"
            raise InputError(f"{RUN_DIR}={value}: has no effect; {hint}")
        if key.startswith(SWEEP) and not is_sweep:
            hint = "add -m, or use output_dir" if is_training else "remove it"
            raise InputError(f"{key}={value}: has an effect only in a sweep; {hint}")

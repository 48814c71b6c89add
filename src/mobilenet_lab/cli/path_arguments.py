"""Mistakes with the paths of images and checkpoints on the command line."""

import shlex
from collections.abc import Sequence

from mobilenet_lab.inference.web_addresses import display_name
from mobilenet_lab.runtime.errors import InputError

LIST_KEYS = ("image", "ckpt")  # Hydra would use the last of several without a word
CHECKPOINT_KEYS = {"predict": "ckpt", "evaluate": "ckpt", "export": "ckpt", "train": "resume"}  # by script
MAX_NAMED = 3  # images that a suggestion lists


def refuse_repeated_paths(arguments: Sequence[str]) -> None:
    """Refuse a key that takes a list and is given several times.

    Raises:
        InputError: The message has the list.
    """
    for key in LIST_KEYS:
        given = [argument for argument in arguments if argument.startswith(f"{key}=")]
        if len(given) > 1:
            raise InputError(
                f"{key}: is given {len(given)} times; use "
                f"{_as_list(key, [argument.removeprefix(f'{key}=') for argument in given])}"
            )


def suggest_path_key(argument: str, arguments: Sequence[str], script: str) -> str | None:
    """Return the setting that a path without a key may have meant, or None.

    Args:
        argument: The path.
        arguments: All arguments of the script.
        script: Name of the script without its suffix.
    """
    if argument.endswith((".ckpt", ".onnx")) and script in CHECKPOINT_KEYS:
        return _as_list(CHECKPOINT_KEYS[script], [argument])
    if script != "predict":
        return None
    keyless = [one for one in arguments if "=" not in one and one[:1] not in ("-", "+", "~")]
    return _as_list("image", keyless if argument in keyless else [argument])


def _as_list(key: str, paths: Sequence[str]) -> str:
    """Return a setting as the shell takes it, without the passwords of web addresses."""
    paths = [display_name(path) for path in paths]
    if len(paths) == 1:
        return shlex.quote(f"{key}={paths[0]}")
    members = [path.removeprefix("[").removesuffix("]") for path in paths[:MAX_NAMED]]
    more = ["..."] if len(paths) > MAX_NAMED else []
    return shlex.quote(f"{key}=[{','.join(members + more)}]")

"""Read the weights of a network from a file that this project, torchvision or another program has written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.checkpoints.description import CLASSES, GROUPS, check_description
from mobilenet_lab.checkpoints.legacy_file import checked_legacy_copy, is_legacy
from mobilenet_lab.checkpoints.load import READ_ERRORS, read_plain_values
from mobilenet_lab.checkpoints.state import HYPER_PARAMETERS, WEIGHTS, hyper_parameters
from mobilenet_lab.checkpoints.untrusted import MAX_BYTES, checked_copy
from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

NESTED = (WEIGHTS, "model")  # keys below which training scripts store the weights
ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class Weights:
    """The tensors of a network.

    Attributes:
        tensors: By name.
        classes: Names of the classes, by label; None if the file does not have them.
    """

    tensors: "Mapping[str, Tensor]"
    classes: list[str] | None


def read_weights(path: Path) -> Weights:
    """Read a file of weights into main memory.

    Args:
        path: A file of `torch.save`, also one from before PyTorch 1.6, or a safetensors file.

    Raises:
        InputError: The file is damaged, has no weights, or holds anything but plain values and tensors.
    """
    import torch

    contents = _read(path)
    classes = None
    if _is_own(contents):
        check_description(hyper_parameters(contents), path)
        classes = list(hyper_parameters(contents)[CLASSES])
    for key in NESTED:
        if isinstance(contents.get(key), dict):
            contents = contents[key]
    tensors = {
        key: value
        for key, value in contents.items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise InputError(f"{path}: has no tensors by name, as a state_dict does; use another file")
    return Weights(tensors, classes)


def _read(path: Path) -> dict[Any, Any]:
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(ZIP_START) or is_legacy(path):
        return _read_torch(path)
    if start[8:] == b"{":
        return _read_safetensors(path)
    raise InputError(f"{path}: is not a file of weights; use a .ckpt, .pth, .pt or .safetensors file")


def _read_torch(path: Path) -> dict[Any, Any]:
    try:
        contents = read_plain_values(path, checked_legacy_copy if is_legacy(path) else checked_copy)
    except READ_ERRORS as error:
        raise InputError(
            f"{path}: is damaged, or has more than plain values and tensors; save the network's state_dict"
        ) from error
    return contents if isinstance(contents, dict) else {}


def _read_safetensors(path: Path) -> dict[Any, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: has more than {MAX_BYTES:,} bytes; use a smaller network")
    try:
        return dict(load_file(path))
    except (SafetensorError, *READ_ERRORS) as error:
        raise InputError(f"{path}: is a damaged safetensors file; use another file") from error


def _is_own(contents: Mapping[Any, Any]) -> bool:
    """Return whether a run of this project has written a file."""
    description = contents.get(HYPER_PARAMETERS)
    return isinstance(description, dict) and {*GROUPS, CLASSES} <= description.keys()

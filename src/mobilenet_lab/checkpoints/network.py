"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.checkpoints.state import is_number, is_whole
from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn
    from torch.overrides import TorchFunctionMode

MAX_SIDE = 4096  # pixels of a image


def network_from(checkpoint: dict[str, Any], path: Path) -> "nn.Module":
    """Build the checkpoint's network with its weights, ready to predict.

    Raises:
        InputError: the weights do not fit the network that the checkpoint describes.
    """
    from mobilenet_lab.models import build_network

    _check_hyper_parameters(checkpoint["hyper_parameters"], path)
    hparams = dict(checkpoint["hyper_parameters"])
    try:
        name, classes = hparams.pop("network"), hparams.pop("classes")
        preprocessing = hparams.pop("preprocessing")
        for key in ("data", "label_smoothing"):
            hparams.pop(key)
        prefix = "network."
        weights = {
            key.removeprefix(prefix): value
            for key, value in checkpoint["state_dict"].items()
            if key.startswith(prefix)
        }
        # The description may ask for a network larger than the weights, or than any machine.
        build = partial(
            build_network, name, in_channels=preprocessing["channels"], num_classes=len(classes), **hparams
        )
        with _without_memory():
            _check_shapes(build().state_dict(), weights)
        network = build()
        network.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the weights do not fit the network it describes: {reason}") from error
    return network.eval()


def _without_memory() -> "TorchFunctionMode":
    """A context in which layers are built of tensors that have a shape but no values.

    `torch.device("meta")` does so, too, but imports for three seconds first.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    makes = (torch.empty, torch.zeros, torch.ones, torch.tensor)
    init = torch.nn.init
    draws = (torch.Tensor.normal_, torch.Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_)

    class WithoutMemory(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func in draws:
                return args[0] if args else kwargs["tensor"]
            if func in makes:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    return WithoutMemory()


def _check_shapes(described: dict[str, Any], weights: dict[str, Any]) -> None:
    for key in described.keys() | weights.keys():
        wanted, found = (tuple(some[key].shape) if key in some else None for some in (described, weights))
        if wanted != found:
            raise ValueError(f"{key[:80]} should have shape {wanted}, not {found}")


def _check_hyper_parameters(hparams: Any, path: Path) -> None:
    """Refuse what is not of the kind that this project writes, before anything is built of it.

    Raises:
        InputError: a value has another type, or is out of range.
    """
    is_dict = isinstance(hparams, dict)
    preprocessing, data = (hparams.get(key) if is_dict else None for key in ("preprocessing", "data"))
    if not (isinstance(preprocessing, dict) and isinstance(data, dict)):
        raise InputError(f"{path}: not a checkpoint of this project, it does not describe its images")
    classes = hparams.get("classes")
    channels = preprocessing.get("channels")
    valid = {
        "network": isinstance(hparams.get("network"), str),
        "classes": isinstance(classes, list | tuple) and {type(name) for name in classes} == {str},
        "preprocessing.channels": is_whole(channels) and channels in (1, 3),
        "preprocessing.image_size": _is_side(preprocessing.get("image_size")),
        "preprocessing.mean": _is_per_channel(preprocessing.get("mean"), channels),
        "preprocessing.std": _is_per_channel(preprocessing.get("std"), channels),
        "data.name": isinstance(data.get("name"), str),
        "data.native_size": _is_side(data.get("native_size")),
        "data.mnist_style": isinstance(data.get("mnist_style"), bool),
        "data.fit": data.get("fit") in ("crop", "pad", "stretch"),
    }
    for key in data.keys() - {"name", "fit", "native_size", "mnist_style"}:
        valid[f"data.{key}"] = data[key] is None or isinstance(data[key], bool) or is_number(data[key])
    wrong = [key for key, is_valid in valid.items() if not is_valid]
    if wrong:
        raise InputError(f"{path}: not a checkpoint of this project, its {', '.join(wrong)} cannot be")


def _is_side(value: Any) -> bool:
    return is_whole(value) and 1 <= value <= MAX_SIDE


def _is_per_channel(value: Any, channels: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) in (1, channels) and all(map(is_number, value))
    return is_number(value)

"""Build the network that a checkpoint describes, without trusting the description."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.checkpoints.state import hyper_parameters, is_number, is_whole, weights
from mobilenet_lab.data.images import FITS
from mobilenet_lab.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn
    from torch.overrides import TorchFunctionMode

MAX_SIDE = 4096  # pixels


def network_from(checkpoint: dict[str, Any], path: Path) -> "nn.Module":
    """Build the network of a checkpoint with its weights, in evaluation mode.

    Args:
        checkpoint: The contents of the checkpoint.
        path: Its file, for error messages.

    Raises:
        InputError: The description is malformed, or the weights do not fit it.
    """
    from mobilenet_lab.models import network_for

    hparams = hyper_parameters(checkpoint)
    _check_hyper_parameters(hparams, path)
    prefix = "network."
    try:
        network_weights = {
            key.removeprefix(prefix): value
            for key, value in weights(checkpoint).items()
            if key.startswith(prefix)
        }
        build = partial(network_for, hparams["model"], hparams["classes"], hparams["preprocessing"])
        # The description may ask for a network that is larger than the weights, or than any memory.
        with _without_memory():
            _check_shapes(build().state_dict(), network_weights)
        network = build()
        network.load_state_dict(network_weights)
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the weights do not fit its network: {reason}; use another one") from error
    return network.eval()


def _without_memory() -> "TorchFunctionMode":
    """Return a context in which new layers have tensors with a shape but no values.

    `torch.device("meta")` is such a context, but its first use imports modules for three seconds.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    factories = (torch.empty, torch.zeros, torch.ones, torch.tensor)
    init = torch.nn.init
    initializers = (
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        init.normal_,
        init.uniform_,
        init.kaiming_uniform_,
    )

    class WithoutMemory(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func in initializers:
                return args[0] if args else kwargs["tensor"]
            if func in factories:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    return WithoutMemory()


def _check_shapes(described: dict[str, Any], weights: dict[str, Any]) -> None:
    for key in described.keys() | weights.keys():
        expected, found = (tuple(some[key].shape) if key in some else None for some in (described, weights))
        if expected != found:
            raise ValueError(f"{key[:80]} should have shape {expected}, not {found}")


def _check_hyper_parameters(hparams: Any, path: Path) -> None:
    """Refuse a description with unexpected types or values, before anything is built from it.

    Raises:
        InputError: A value is missing, has another type or is out of range.
    """
    groups = ("model", "preprocessing", "data")
    given = hparams if isinstance(hparams, dict) else {}
    if missing := [group for group in groups if not isinstance(given.get(group), dict)]:
        raise InputError(
            f"{path}: not a checkpoint of this version of the project; hyper_parameters lacks "
            f"{', '.join(missing)}; use another checkpoint"
        )
    model, preprocessing, data = (given[group] for group in groups)
    classes, channels = given.get("classes"), preprocessing.get("channels")
    valid = {
        "hyper_parameters": given.keys() == {*groups, "classes"},
        "model": all(isinstance(key, str) for key in model),
        "model.network": isinstance(model.get("network"), str),
        "classes": isinstance(classes, list | tuple) and {type(name) for name in classes} == {str},
        "preprocessing.channels": is_whole(channels) and channels in (1, 3),
        "preprocessing.image_size": _is_side(preprocessing.get("image_size")),
        "preprocessing.mean": _is_per_channel(preprocessing.get("mean"), channels),
        "preprocessing.std": _is_per_channel(preprocessing.get("std"), channels),
        "data.name": isinstance(data.get("name"), str),
        "data.native_size": _is_side(data.get("native_size")),
        "data.mnist_style": isinstance(data.get("mnist_style"), bool),
        "data.fit": isinstance(data.get("fit"), str) and data["fit"] in FITS,
    }
    for key in data.keys() - {"name", "fit", "native_size", "mnist_style"}:
        valid[f"data.{key}"] = data[key] is None or isinstance(data[key], bool) or is_number(data[key])
    if wrong := [key for key, is_valid in valid.items() if not is_valid]:
        raise InputError(
            f"{path}: not a checkpoint of this project, invalid {', '.join(wrong)}; use another one"
        )


def _is_side(value: Any) -> bool:
    return is_whole(value) and 1 <= value <= MAX_SIDE


def _is_per_channel(value: Any, channels: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) in (1, channels) and all(map(is_number, value))
    return is_number(value)

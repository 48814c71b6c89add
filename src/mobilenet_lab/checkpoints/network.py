"""Build the network that a checkpoint describes, without trusting the description."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.checkpoints.description import check_description
from mobilenet_lab.checkpoints.state import hyper_parameters, weights
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_REASON = 300  # characters


def network_from(checkpoint: dict[str, Any], path: Path, cpu_layers: bool = True) -> "nn.Module":
    """Build the network of a checkpoint with its weights, in evaluation mode.

    Args:
        checkpoint: The contents of the checkpoint.
        path: Its file, for error messages.
        cpu_layers: Whether to use the faster implementations of layers in `models.cpu_layers`.

    Raises:
        InputError: The description is malformed, the weights do not fit it or are not finite, or one image
            would exceed the limits in `models.complexity`.
    """
    from mobilenet_lab.models import network_for

    hparams = hyper_parameters(checkpoint)
    check_description(hparams, path)
    prefix = "network."
    try:
        network_weights = {
            key.removeprefix(prefix): value
            for key, value in weights(checkpoint).items()
            if key.startswith(prefix)
        }
        # The description may ask for a network that is larger than the weights, or than any memory.
        network = network_for(
            hparams["model"],
            hparams["classes"],
            hparams["preprocessing"],
            cpu_layers,
            check=lambda described: _check_shapes(described.state_dict(), network_weights),
        )
        network.load_state_dict(network_weights)
        check_weights(network.state_dict())
    except InputError as error:
        raise InputError(f"{path}: {_reason(error)}; use another checkpoint") from error
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: the weights do not fit its network: {_reason(error)}; use another one"
        ) from error
    return network.eval()


def _reason(error: Exception) -> str:
    """Return what is wrong, without what to do about a configuration and without C++ functions."""
    return printable(str(error).partition("\n")[0].partition(";")[0][:MAX_REASON])


def _check_shapes(described: dict[str, Any], weights: dict[str, Any]) -> None:
    for key in described.keys() | weights.keys():
        expected, found = (tuple(some[key].shape) if key in some else None for some in (described, weights))
        if expected != found:
            raise ValueError(f"{key[:80]} should have shape {expected}, not {found}")


def check_weights(weights: "Mapping[str, Tensor]") -> None:
    """Refuse weights that make every answer NaN.

    Raises:
        InputError: A weight is NaN or infinite, or a variance is negative.
    """
    import torch

    tensors = {key: value for key, value in weights.items() if value.is_floating_point()}
    # One reduction per tensor; NaN is the extreme of a tensor that has one.
    ranges = torch.stack([torch.stack(torch.aminmax(value)) for value in tensors.values()]).tolist()
    for key, (lowest, highest) in zip(tensors, ranges, strict=True):
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise InputError(f"the weight {key} is NaN or infinite")
        if key.endswith("running_var") and lowest < 0:
            raise InputError(f"the variance {key} is negative")

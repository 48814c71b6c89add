"""Size of a network and cost per image, computed from shapes alone."""

from dataclasses import dataclass

import torch
from torch import nn

from mobilenet_lab.models.shapes import CostCounter
from mobilenet_lab.runtime.errors import InputError

# Limits for one image, in training and in prediction: a checkpoint of a megabyte can describe a network that
# takes hours and all memory. MobileNetV2 of width 1.0 stays below them up to 4096 x 4096 pixels.
MAX_PEAK = 1 << 30  # elements; 4 GiB in float32
MAX_MACS = 10**12  # about half a minute on one core


@dataclass(frozen=True)
class Cost:
    """Cost of one image.

    Attributes:
        macs: Multiply-accumulates (MACs) of convolutions and linear layers.
        activations: Elements of all results that training keeps for the backward pass. Results in place add
            none, although PyTorch's own ReLU6 keeps a copy.
        peak: Elements of the inputs and the result of the largest operation, as prediction holds them.
    """

    macs: int
    activations: int
    peak: int


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in network.parameters())


def estimate_cost(network: nn.Module, channels: int, image_size: int) -> Cost:
    """Return the cost of one image without computing anything.

    Args:
        network: On any device, or built in the context `shapes.WithoutMemory`. It stays as it is.
        channels: Channels of the image.
        image_size: Height and width of the image in pixels.

    Raises:
        TypeError: A layer has an argument that PyTorch does not take.
        ValueError: The image is too small for the network, or has other channels.
    """
    counter = CostCounter()
    count_cost(network, channels, image_size, counter)
    return Cost(counter.macs, counter.activations, counter.peak)


def count_cost(network: nn.Module, channels: int, image_size: int, counter: CostCounter) -> None:
    """Add the cost of one image in evaluation mode to a counter; arguments and errors as `estimate_cost`."""
    image = torch.empty(1, channels, image_size, image_size, device="meta")
    if was_training := network.training:
        network.eval()
    try:
        with torch.no_grad(), counter:
            network(image)
    finally:
        if was_training:
            network.train()


def count_macs(network: nn.Module, channels: int, image_size: int) -> int:
    """Return the multiply-accumulates (MACs) of convolutions and linear layers per image."""
    return estimate_cost(network, channels, image_size).macs


def check_cost(cost: Cost, image_size: int) -> None:
    """Refuse a network that takes too much memory or time for one image.

    Raises:
        InputError: A limit is exceeded.
    """
    if cost.peak > MAX_PEAK or cost.macs > MAX_MACS:
        raise InputError(
            f"data.image_size={image_size}: one image takes {_gib(cost.peak)} of activations and "
            f"{cost.macs:.1e} MACs in this network, but at most {_gib(MAX_PEAK)} and {MAX_MACS:.0e} MACs are "
            "allowed; lower data.image_size or model.filters, or raise model.strides"
        )


def _gib(elements: int) -> str:
    """Return the size of float32 elements."""
    return f"{elements * 4 / 2**30:,.1f} GiB"

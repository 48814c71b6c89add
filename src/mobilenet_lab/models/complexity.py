"""Size of a network and cost per image, computed from shapes alone."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from mobilenet_lab.models.shapes import CostCounter


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
        network: On any device, or built in the context `shapes.WithoutMemory`, which takes no memory.
        channels: Channels of the image.
        image_size: Height and width of the image in pixels.

    Raises:
        TypeError: A layer has an argument that PyTorch does not take.
        ValueError: The image is too small for the network, or has other channels.
    """
    if any(parameter.device.type != "meta" for parameter in network.parameters()):
        network = copy.deepcopy(network).to("meta")
    image = torch.empty(1, channels, image_size, image_size, device="meta")
    counter = CostCounter()
    was_training = network.training
    with torch.no_grad(), counter:
        network.eval()(image)
    network.train(was_training)
    return Cost(counter.macs, counter.activations, counter.peak)


def count_macs(network: nn.Module, channels: int, image_size: int) -> int:
    """Return the multiply-accumulates (MACs) of convolutions and linear layers per image."""
    return estimate_cost(network, channels, image_size).macs


def estimate_activations(network: nn.Module, channels: int, image_size: int) -> int:
    """Return the elements of all results that training keeps, for one image."""
    return estimate_cost(network, channels, image_size).activations

"""Size of a network and cost per image."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, channels: int, image_size: int) -> int:
    """Return the multiply-accumulates (MACs) of convolutions and linear layers per image.

    They are computed from shapes alone, on PyTorch's meta device.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shadow(torch.empty(1, channels, image_size, image_size, device="meta"))
    return counter.get_total_flops() // 2

"""The networks, by the names that configurations and checkpoints use.

A checkpoint names its network as a key of `NETWORKS` and never as an import path, so that opening one
cannot run a stranger's code. A new network is a module beside this one and a line below.
"""

import torch
from torch import nn

from mobilenet_lab.models.cpu_layers import use_cpu_layers
from mobilenet_lab.models.mobilenet_v2 import MobileNetV2
from mobilenet_lab.runtime.errors import InputError

NETWORKS: dict[str, type[nn.Module]] = {"mobilenet_v2": MobileNetV2}


def build_network(name: str, cpu_layers: bool = True, **arguments: object) -> nn.Module:
    """Build the network of that name, channels last in memory.

    Args:
        name: A key of `NETWORKS`.
        cpu_layers: Whether its layers take the ways of `models.cpu_layers`.
        **arguments: Those of the network's class.

    Raises:
        InputError: no network has that name, or it takes no such argument.
    """
    if name not in NETWORKS:
        raise InputError(f"model.network={name}: must be one of {', '.join(NETWORKS)}")
    try:
        network = NETWORKS[name](**arguments)
    except TypeError as error:
        raise InputError(f"model.network={name}: {error}") from error
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return use_cpu_layers(network) if cpu_layers else network

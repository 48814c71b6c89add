"""The networks, by the names that configurations and checkpoints use.

A checkpoint names its network by a key of `NETWORKS`, never by an import path, so opening one cannot run
foreign code. To add a network, write a module in this package and add a line to `NETWORKS`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from mobilenet_lab.models.complexity import check_cost, estimate_cost
from mobilenet_lab.models.cpu_layers import use_cpu_layers
from mobilenet_lab.models.mobilenet_v2 import MobileNetV2
from mobilenet_lab.models.shapes import WithoutMemory
from mobilenet_lab.runtime.errors import InputError

NETWORKS: dict[str, type[nn.Module]] = {"mobilenet_v2": MobileNetV2}


def build_network(
    name: str, cpu_layers: bool = True, image_size: int | None = None, **arguments: object
) -> nn.Module:
    """Build a network, in channels-last memory format.

    Args:
        name: A key of `NETWORKS`.
        cpu_layers: Whether to use the faster implementations of layers in `models.cpu_layers`.
        image_size: Height and width of the images in pixels, for networks that take it.
        **arguments: Arguments of the network's class, such as `in_channels` and `num_classes`.

    Raises:
        InputError: There is no such network, or it does not take an argument.
    """
    if name not in NETWORKS:
        raise InputError(f"model.network={name}: must be one of {', '.join(NETWORKS)}")
    if "image_size" in inspect.signature(NETWORKS[name]).parameters:
        arguments["image_size"] = image_size
    try:
        network = NETWORKS[name](**arguments)
    except TypeError as error:
        reason = str(error).partition("\n")[0]  # PyTorch appends a stack of C++ functions
        raise InputError(f"model.network={name}: {reason}; check the keys of model") from error
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return use_cpu_layers(network) if cpu_layers else network


def network_for(
    model: Mapping[str, Any],
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    cpu_layers: bool = True,
    check: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """Build the network of a `model` configuration for the images and classes of a data set.

    Args:
        model: Key of `NETWORKS` as `network`, and arguments of the network's class.
        classes: Names of the classes.
        preprocessing: Arguments of `data.transforms.preprocessing.Preprocessing`.
        cpu_layers: See `build_network`.
        check: Is called with the network before it takes memory: its weights have shapes but no values.

    Raises:
        InputError: There is no such network, it does not take an argument, or one image would exceed the
            limits in `models.complexity`.
        TypeError, ValueError: An argument cannot be used.
    """
    arguments = {key: value for key, value in model.items() if key != "network"}
    size, channels = preprocessing["image_size"], preprocessing["channels"]
    build = partial(
        build_network,
        model["network"],
        image_size=size,
        in_channels=channels,
        num_classes=len(classes),
        **arguments,
    )
    try:
        with WithoutMemory(), torch.random.fork_rng(devices=[]):
            described = build(cpu_layers=False).eval()
        if check is not None:
            check(described)
        check_cost(estimate_cost(described, channels, size), size)
    except (RuntimeError, NotImplementedError) as error:
        if "meta" not in str(error):
            raise
        raise InputError(
            f"model.network={model['network']}: its cost cannot be estimated, because it reads the values "
            "of a tensor when it is built or run; use Python numbers instead"
        ) from error
    return build(cpu_layers=cpu_layers)

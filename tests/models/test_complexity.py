"""The cost of a network is computed from shapes, and equals what PyTorch counts when the network runs."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mobilenet_lab.models import build_network
from mobilenet_lab.models.complexity import Cost, count_macs, count_parameters, estimate_cost
from mobilenet_lab.models.shapes import WithoutMemory


class Other(nn.Module):
    """A network with functions that `models.shapes` has no formula for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.query = nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.gelu(self.norm(self.conv(images))) * self.scale
        x = x.flatten(2).transpose(1, 2)  # (N, H W, 8)
        x = (self.query(x) @ x.transpose(1, 2)).softmax(-1) @ x
        return x.mean(1)


def counted_by_pytorch(network: nn.Module, images: Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(images)
    return counter.get_total_flops() // 2


def kept_for_backward(network: nn.Module, images: Tensor) -> int:
    """Return the elements of the tensors that autograd saves, without parameters and views."""
    for block in network.modules():
        for name, layer in block.named_children():
            if isinstance(layer, nn.ReLU6):  # PyTorch keeps a copy of its input
                setattr(block, name, nn.ReLU(inplace=True))
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    saved: dict[int, tuple[Tensor, int]] = {}

    def pack(x: Tensor) -> Tensor:
        if (place := x.untyped_storage().data_ptr()) not in parameters:
            saved[place] = x, x.untyped_storage().nbytes() // x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        network.train()(images)
    return sum(elements for _, elements in saved.values())


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": 3, "image_size": 28, "stem_stride": None},
        {"filters": 2, "image_size": 45, "in_channels": 3, "num_classes": 7},
        {"filters": 1, "image_size": 20, "strides": [1] * 7, "stem_stride": 1},
    ],
)
def test_cost_equals_what_pytorch_counts(arguments: dict[str, Any]) -> None:
    network = build_network("mobilenet_v2", **arguments, cpu_layers=False)
    channels, size = arguments.get("in_channels", 1), arguments["image_size"]
    images = torch.zeros(8, channels, size, size)
    cost = estimate_cost(network, channels, size)
    assert 8 * cost.macs == counted_by_pytorch(copy.deepcopy(network), images)
    assert 8 * cost.activations == pytest.approx(kept_for_backward(network, images), rel=0.05)
    with WithoutMemory():
        shapes = build_network("mobilenet_v2", **arguments)
    assert {parameter.device.type for parameter in shapes.parameters()} == {"meta"}
    assert estimate_cost(shapes, channels, size) == cost
    assert count_parameters(shapes) == count_parameters(network)


def test_functions_without_a_formula_are_counted_by_pytorch() -> None:
    network = Other()
    assert count_macs(network, 3, 16) == counted_by_pytorch(network, torch.zeros(1, 3, 16, 16)) > 0
    assert network.scale.device.type == "cpu"
    assert network.query.weight.requires_grad


def test_peak_is_the_largest_operation_with_its_inputs() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    assert estimate_cost(network, 1, 10) == Cost(macs=3600 + 800, activations=400 + 200, peak=400 + 200)


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="5 x 5 pixels are too small"):
        estimate_cost(nn.Conv2d(1, 1, 7), 1, 5)
    with pytest.raises(ValueError, match="3 channels gets 1"):
        estimate_cost(nn.Conv2d(3, 1, 1), 1, 5)
    with pytest.raises(TypeError, match="invalid combination of arguments"):
        estimate_cost(nn.Conv2d(1, 1, 1, stride=1.5), 1, 5)  # type: ignore[arg-type]


@pytest.mark.run
def test_estimate_imports_nothing() -> None:
    """The meta device of PyTorch would import modules for most of a second in each prediction."""
    program = """
import sys
from mobilenet_lab.models import build_network
from mobilenet_lab.models.complexity import estimate_cost
from mobilenet_lab.models.shapes import WithoutMemory
before = set(sys.modules)
with WithoutMemory():
    network = build_network("mobilenet_v2")
estimate_cost(network, 1, 224)
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

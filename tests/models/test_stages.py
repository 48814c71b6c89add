import pytest
import torch
from torch import Tensor, nn

from mobilenet_lab.models import build_network
from mobilenet_lab.models.complexity import count_macs, count_parameters
from mobilenet_lab.models.mobilenet_v2 import MobileNetV2
from mobilenet_lab.models.stages import Stage, measure_stages


@pytest.mark.parametrize(("filters", "channels", "side"), [(8, 3, 224), (4, 1, 28), (1, 3, 57)])
def test_stages_add_up_to_the_network(filters: int, channels: int, side: int) -> None:
    network = build_network("mobilenet_v2", image_size=side, filters=filters, in_channels=channels)
    stages = measure_stages(network, channels, side)
    assert [stage.name for stage in stages] == [
        "stem",
        *(f"stage {number}" for number in range(1, 8)),
        "head",
        "classifier",
    ]
    assert sum(stage.parameters for stage in stages) == count_parameters(network)
    assert sum(stage.macs for stage in stages) == count_macs(network, channels, side)


def test_stages_of_width_1_have_the_shapes_of_the_paper() -> None:
    """Table 2 of Sandler et al. 2018, arXiv:1801.04381."""
    stages = measure_stages(MobileNetV2(filters=8, in_channels=3, num_classes=1000), 3, 224)
    assert [stage.output for stage in stages] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (32, 28, 28),
        (64, 14, 14),
        (96, 14, 14),
        (160, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
        (1000,),
    ]
    stem = 32 * 112 * 112  # elements, which convolution and norm keep
    assert stages[0] == Stage("stem", (32, 112, 112), 3 * 32 * 9 + 2 * 32, 3 * 9 * stem, 2 * stem)
    assert stages[-1] == Stage("classifier", (1000,), 1281 * 1000, 1280 * 1000, 1000)


class Odd(nn.Module):
    """Uses one layer twice, another one under two names, and parameters that no child has."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.again = self.first
        self.shared = nn.Sequential(self.first, nn.Flatten())
        self.weight = nn.Parameter(torch.zeros(5, 64))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(self.shared(self.first(images)), self.weight)


def test_stages_of_another_network_are_its_children() -> None:
    network = Odd().train()
    first, shared, other = measure_stages(network, 1, 8)
    assert first == Stage("first", (1, 8, 8), 9, 2 * 9 * 64, 2 * 64)
    assert (shared.name, shared.output, shared.parameters) == ("shared", (64,), 0)
    assert other == Stage("other", None, 5 * 64, count_macs(network, 1, 8) - first.macs - shared.macs)
    assert first.macs + shared.macs + other.macs == 2 * 9 * 64 + 5 * 64
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


class Stacked(nn.Module):
    """Has a child of the name that the method of `MobileNetV2` has."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images)


def test_child_called_stages_is_a_stage() -> None:
    assert measure_stages(Stacked(), 1, 8) == [Stage("stages", (5,), 65 * 5, 64 * 5, 5)]

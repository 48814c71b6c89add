import pytest
import torch

from mobilenet_lab.models import build_network
from mobilenet_lab.models.complexity import count_macs, count_parameters
from mobilenet_lab.runtime.errors import InputError


def test_builds_by_name_with_channels_last() -> None:
    network = build_network("mobilenet_v2", filters=2, in_channels=1, num_classes=10)
    kernel = network.get_parameter("features.18.0.weight")
    assert kernel.is_contiguous(memory_format=torch.channels_last)


def test_unknown_network_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"nosuch.*mobilenet_v2"):
        build_network("nosuch")


def test_unknown_argument_is_named() -> None:
    with pytest.raises(InputError, match="colour"):
        build_network("mobilenet_v2", colour="red")


def test_costs_are_the_published_ones() -> None:
    network = build_network("mobilenet_v2", filters=8, in_channels=3, num_classes=1000)
    assert count_parameters(network) == 3_504_872
    # The paper's Table 4: 3.4 M parameters and 300 M multiply-adds at 224 x 224.
    assert count_macs(network, 3, 224) == pytest.approx(300e6, rel=0.01)

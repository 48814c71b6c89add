"""The registry builds networks by name."""

import pytest
import torch

from mobilenet_lab.models import build_network, network_for
from mobilenet_lab.models.complexity import count_macs, count_parameters
from mobilenet_lab.runtime.errors import InputError


def test_network_is_built_by_name_in_channels_last() -> None:
    network = build_network("mobilenet_v2", filters=2, in_channels=1, num_classes=10)
    kernel = network.get_parameter("features.18.0.weight")
    assert kernel.is_contiguous(memory_format=torch.channels_last)


def test_unknown_network_error_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"nosuch.*mobilenet_v2"):
        build_network("nosuch")


def test_unknown_argument_error_names_it() -> None:
    with pytest.raises(InputError, match="color"):
        build_network("mobilenet_v2", color="red")


def test_costs_match_the_paper() -> None:
    network = build_network("mobilenet_v2", filters=8, in_channels=3, num_classes=1000)
    assert count_parameters(network) == 3_504_872
    # The paper's Table 4: 3.4 M parameters and 300 M multiply-adds at 224 x 224.
    assert count_macs(network, 3, 224) == pytest.approx(300e6, rel=0.01)


@pytest.mark.parametrize(("size", "stride"), [(28, 1), (39, 1), (40, 2), (None, 2)])
def test_image_size_selects_the_stem_stride(size: int | None, stride: int) -> None:
    network = build_network("mobilenet_v2", filters=1, image_size=size, stem_stride=None)
    assert network.get_submodule("features.0.0").stride == (stride, stride)


def test_network_is_built_for_the_images_and_classes() -> None:
    preprocessing = {"image_size": 32, "channels": 3, "mean": 0.5, "std": 0.5, "resize": "auto"}
    network = network_for({"network": "mobilenet_v2", "filters": 1}, ["a", "b"], preprocessing)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 2)

import pytest
import torch
from torch import nn

from mobilenet_lab.models import build_network
from mobilenet_lab.models.fuse import fuse_conv_bn


@pytest.mark.parametrize("cpu_layers", [True, False])
def test_folded_network_predicts_the_same(cpu_layers: bool) -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2", cpu_layers, filters=2)
    network(2 * torch.randn(32, 1, 28, 28) + 1)  # running statistics that are not those of the start
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    network.double().eval()
    images = torch.randn(4, 1, 28, 28, dtype=torch.float64)
    expected = network(images)
    folded = fuse_conv_bn(network)
    torch.testing.assert_close(folded(images), expected, atol=1e-10, rtol=1e-10)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())

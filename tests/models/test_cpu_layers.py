import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.models import build_network
from mobilenet_lab.models.cpu_batch_norm import MAX_CHANNELS, MIN_VALUES, CpuBatchNorm2d
from mobilenet_lab.models.cpu_layers import _tap_numbers, depthwise_of_tiny, use_cpu_layers


def images(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return values.contiguous(memory_format=torch.channels_last)


def assert_same(layer: nn.Module, x: Tensor) -> None:
    """A layer and its fast twin agree on output, gradients and buffers, in double precision."""
    plain, fast = layer.double(), use_cpu_layers(nn.Sequential(copy.deepcopy(layer).double()))
    results = []
    for network in (plain, fast):
        inputs = x.clone(memory_format=torch.preserve_format).requires_grad_()
        # The layer before owns what an activation changes in place.
        out = network(inputs * 1)
        out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype))
        gradients = [parameter.grad for parameter in network.parameters()]
        results.append([out, inputs.grad, *gradients, *network.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_depthwise_convolution(side: int, stride: int, bias: bool) -> None:
    layer = nn.Conv2d(6, 6, 3, stride, padding=1, groups=6, bias=bias)
    assert_same(layer, images(5, 6, side, side))


def test_depthwise_of_a_map_that_is_not_square() -> None:
    x, weight = images(3, 4, 2, 1), images(4, 1, 3, 3)
    torch.testing.assert_close(
        depthwise_of_tiny(x, weight, 1), F.conv2d(x, weight, None, 1, padding=1, groups=4)
    )


@pytest.mark.parametrize("side", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_pointwise_convolution(side: int, bias: bool) -> None:
    assert_same(nn.Conv2d(8, 5, 1, bias=bias), images(3, 8, side, side))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, padding=0, groups=4),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, padding_mode="circular"),
        nn.Conv2d(4, 6, 1, groups=2),
        nn.Conv2d(4, 6, 1, padding=1),
    ],
)
def test_other_convolutions_stay_what_they_are(layer: nn.Conv2d) -> None:
    side = 3 if layer.padding == (0, 0) and layer.kernel_size == (3, 3) else 2
    assert_same(layer, images(2, 4, side, side))


@pytest.mark.parametrize("channels", [3, 8, 24, MAX_CHANNELS])
@pytest.mark.parametrize("shape", [(128, 16), (7, 5), (64, 1), (1, 80)])
def test_batch_norm(channels: int, shape: tuple[int, int]) -> None:
    n, side = shape
    layer = nn.BatchNorm2d(channels)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    assert_same(layer, 3 + 2 * images(n, channels, side, side))


def test_batch_norm_of_the_other_layout() -> None:
    assert_same(nn.BatchNorm2d(8), images(128, 8, 16, 16).contiguous())


def test_batch_norm_in_evaluation_uses_the_running_statistics() -> None:
    layer = use_cpu_layers(nn.Sequential(nn.BatchNorm2d(8))).eval()
    x = images(128, 8, 16, 16, dtype=torch.float32)
    torch.testing.assert_close(layer(x), x / (1 + 1e-5) ** 0.5)


def test_batch_norm_keeps_its_precision_far_from_zero() -> None:
    x = (1000 + images(128, 8, 16, 16)).float()
    assert x.numel() >= MIN_VALUES
    out = use_cpu_layers(nn.Sequential(nn.BatchNorm2d(8)))(x)
    expected = F.batch_norm(x.double(), None, None, training=True)
    torch.testing.assert_close(out.double(), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (64, 64, 16, 16), (3, 7, 1, 1)])
@pytest.mark.parametrize("inplace", [True, False])
def test_relu6(shape: tuple[int, ...], inplace: bool) -> None:
    assert_same(nn.ReLU6(inplace), 5 * images(*shape))


@pytest.mark.parametrize("filters", [2, 8])
@pytest.mark.parametrize(("side", "stem_stride"), [(28, 1), (28, 2), (32, 2), (56, 2)])
def test_networks_agree(filters: int, side: int, stem_stride: int) -> None:
    torch.manual_seed(0)
    plain = build_network(
        "mobilenet_v2", cpu_layers=False, filters=filters, dropout=0.0, stem_stride=stem_stride
    )
    fast = use_cpu_layers(copy.deepcopy(plain)).double()
    plain.double()
    x, labels = images(16, 1, side, side), torch.arange(16) % 10
    for network in (plain, fast):
        F.cross_entropy(network(x), labels).backward()
    gradients = {name: parameter.grad for name, parameter in fast.named_parameters()}
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, msg=name)
    for (_, one), (_, other) in zip(plain.named_buffers(), fast.named_buffers(), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(plain.eval()(x), fast.eval()(x))


def test_weights_go_both_ways() -> None:
    plain = build_network("mobilenet_v2", cpu_layers=False, filters=2)
    fast = build_network("mobilenet_v2", filters=2)
    fast.load_state_dict(plain.state_dict())
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_mixed_precision_trains() -> None:
    network = build_network("mobilenet_v2", filters=2)
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(network(torch.randn(64, 1, 32, 32)), torch.arange(64) % 10)
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_trains_after_a_prediction() -> None:
    _tap_numbers.cache_clear()
    network = build_network("mobilenet_v2", filters=2)
    images = torch.randn(4, 1, 32, 32)
    with torch.inference_mode():
        network(images)
    network(images).sum().backward()


def test_synchronised_batch_norm_takes_their_place() -> None:
    network = nn.SyncBatchNorm.convert_sync_batchnorm(build_network("mobilenet_v2", filters=1))
    assert not any(isinstance(module, CpuBatchNorm2d) for module in network.modules())

"""Faster CPU implementations of PyTorch layers, with the same parameters, names and results.

oneDNN and PyTorch are slow for small images and narrow networks: depthwise convolutions of 1 x 1 and 2 x 2
maps, small matrix products, batch normalization of a dozen channels. The results differ from those of the
plain layers by rounding only. The thresholds were measured on two cores with AVX-512.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from mobilenet_lab.models.cpu_batch_norm import CpuBatchNorm2d

# A depthwise convolution is computed as a sum of products up to this side of the map and number of values.
MAX_TINY_SIDE = 2
MAX_TINY_VALUES = 1 << 21
# A pointwise convolution is computed as a matrix product up to this many pixels and multiplications.
MAX_PRODUCT_PIXELS = 1024
MAX_PRODUCT_COST = 2_000_000
# From this number of values on, copying them costs more than calling an autograd function in Python.
MIN_COSTLY_COPY = 1 << 18


def use_cpu_layers(network: nn.Module) -> nn.Module:
    """Replace the layers inside a network by their faster CPU versions, in place.

    Parameters and buffers are shared with the replaced layers, so names in the state dict stay.

    Returns:
        The same network.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) in CPU_LAYERS:
                setattr(parent, name, CPU_LAYERS[type(layer)](layer).train(layer.training))
    return network


class CpuConv2d(nn.Conv2d):
    """A convolution that is a matrix product or, if depthwise, a sum of products for small maps on a CPU.

    Args:
        layer: The layer to replace; its parameters are shared.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
        )
        self.weight, self.bias = layer.weight, layer.bias

    def reset_parameters(self) -> None:
        """Do nothing: the parameters are those of the replaced layer, which has drawn them already."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, in_channels, H, W) to (N, out_channels, H', W')."""
        if not x.is_cpu or x.ndim < 4:
            return super().forward(x)
        if self._is_small_product(x):
            pixels = x.permute(0, 2, 3, 1)  # (N, H, W, in_channels)
            weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # so that its gradient is channels last too
            out = F.linear(pixels.reshape(-1, self.in_channels), weight, self.bias)
            return out.view(*pixels.shape[:3], self.out_channels).permute(0, 3, 1, 2)
        if max(x.shape[2:]) <= MAX_TINY_SIDE and x.numel() <= MAX_TINY_VALUES and self._is_depthwise():
            out = depthwise_of_tiny(x, self.weight, self.stride[0])
            return out if self.bias is None else out + self.bias[:, None, None]
        return super().forward(x)

    def _is_small_product(self, x: Tensor) -> bool:
        is_pointwise = self.kernel_size == (1, 1) and self.groups == 1 and self.padding == (0, 0)
        if not is_pointwise:
            return False
        if x.shape[2:] == (1, 1):
            return True
        pixels = x.numel() // self.in_channels
        cost = x.numel() * self.out_channels
        return self.stride == (1, 1) and pixels <= MAX_PRODUCT_PIXELS and cost <= MAX_PRODUCT_COST

    def _is_depthwise(self) -> bool:
        return (
            self.groups == self.in_channels == self.out_channels
            and self.kernel_size == (3, 3)
            and self.padding == self.dilation == (1, 1)
            and self.stride[0] == self.stride[1]
            and self.padding_mode == "zeros"
        )


class CpuReLU6(nn.ReLU6):
    """ReLU6 that works in place without the copy that PyTorch's makes on a CPU.

    Args:
        layer: The layer to replace.
    """

    def __init__(self, layer: nn.ReLU6) -> None:
        super().__init__(layer.inplace)

    def forward(self, x: Tensor) -> Tensor:
        """Clamp values of any shape to [0, 6]."""
        if not (self.inplace and x.is_cpu):
            return super().forward(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return x.clamp_(0, 6)
        if x.numel() < MIN_COSTLY_COPY or x.shape[2:] == (1, 1):
            return F.relu6(x)
        clamped: Tensor = _ClampInPlace.apply(x)  # type: ignore[no-untyped-call]
        return clamped


CPU_LAYERS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Conv2d: CpuConv2d,
    nn.BatchNorm2d: CpuBatchNorm2d,
    nn.ReLU6: CpuReLU6,
}


def depthwise_of_tiny(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute a 3x3 depthwise convolution with padding 1 of a map that every window covers entirely.

    Args:
        x: Shape (N, C, H, W), with H and W at most 2.
        weight: Shape (C, 1, 3, 3).
        stride: In both directions.

    Returns:
        Shape (N, C, ceil(H / stride), ceil(W / stride)), in channels-last memory format.
    """
    height, width = x.shape[2:]
    rows, columns = range(0, height, stride), range(0, width, stride)
    pixels = x.permute(0, 2, 3, 1).reshape(len(x), 1, height * width, x.shape[1])  # (N, 1, H W, C)
    taps = weight.permute(0, 2, 3, 1).flatten(1)  # (C, 9)
    # One of the nine connects each output pixel with each input pixel.
    windows = taps.index_select(1, _tap_numbers(height, width, stride))  # (C, H' W' H W)
    windows = windows.t().reshape(len(rows) * len(columns), height * width, -1)  # (H' W', H W, C)
    out = (pixels * windows).sum(2)  # (N, H' W', C)
    return out.view(len(x), len(rows), len(columns), x.shape[1]).permute(0, 3, 1, 2)


@lru_cache
def _tap_numbers(height: int, width: int, stride: int) -> Tensor:
    numbers = [
        3 * (1 + y - row) + 1 + x - column
        for row in range(0, height, stride)
        for column in range(0, width, stride)
        for y in range(height)
        for x in range(width)
    ]
    with torch.inference_mode(False):  # an inference tensor in the cache would break later training
        return torch.tensor(numbers)


class _ClampInPlace(torch.autograd.Function):
    """Clamps to [0, 6] in place; the gradient needs the result only."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        x.clamp_(0, 6)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        input_gradient: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, 0, 6)
        return input_gradient

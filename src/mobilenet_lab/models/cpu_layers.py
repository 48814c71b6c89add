"""PyTorch's layers with quicker ways through them on a CPU; parameters, names and results stay the same.

What oneDNN and PyTorch are not made for are small images and narrow networks: depthwise convolutions of
maps of 1 x 1 and 2 x 2 pixels, products of small matrices, batch normalisation of a dozen channels. Results
differ from the plain layers' by rounding alone. The limits below were measured on two cores with AVX-512.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

# A depthwise convolution is a sum of products up to this side of a map, and this number of values.
TINY_SIDE = 2


TINY_VALUES = 1 << 21


# A pointwise convolution is a matrix product up to this number of pixels in a batch, and of multiplications.
FEW_PIXELS = 1024


SMALL_PRODUCT = 2_000_000


# PyTorch's batch normalisation takes 16 channels at once and the rest one by one, which is most of the work
# below 40 channels; rows of 512 values are quicker from this number of values on.
VECTOR = 16


FEW_CHANNELS = 40


MANY_VALUES = 1 << 15


ROW = 512


# From this number of values on, a copy costs more than an autograd function in Python.
COSTLY_COPY = 1 << 18


def use_cpu_layers(network: nn.Module) -> nn.Module:
    """Let a network's layers take the ways of this module, in place."""
    for module in network.modules():
        if type(module) in CPU_LAYERS:
            module.__class__ = CPU_LAYERS[type(module)]
    return network


class CpuConv2d(nn.Conv2d):
    """A convolution; of small maps on a CPU a matrix product or, if depthwise, a sum of products."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        if not x.is_cpu or x.ndim < 4:
            return super().forward(x)
        if self._is_small_product(x):
            pixels = x.permute(0, 2, 3, 1)  # (N, H, W, in_channels)
            weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # its gradient is channels last, as it is
            out = F.linear(pixels.reshape(-1, self.in_channels), weight, self.bias)
            return out.view(*pixels.shape[:3], self.out_channels).permute(0, 3, 1, 2)
        if max(x.shape[2:]) <= TINY_SIDE and x.numel() <= TINY_VALUES and self._is_depthwise():
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
        return (
            self.stride == (1, 1) and pixels <= FEW_PIXELS and x.numel() * self.out_channels <= SMALL_PRODUCT
        )

    def _is_depthwise(self) -> bool:
        return (
            self.groups == self.in_channels == self.out_channels
            and self.kernel_size == (3, 3)
            and self.padding == self.dilation == (1, 1)
            and self.stride[0] == self.stride[1]
            and self.padding_mode == "zeros"
        )


class CpuBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation; in training on a CPU, few channels take whole rows of values at once."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        if not (x.is_cpu and self.training and self.track_running_stats) or self.bias is None:
            return super().forward(x)
        takes_rows = (
            self.num_features < FEW_CHANNELS
            and self.num_features % VECTOR > 0
            and x.numel() >= MANY_VALUES
            and x.dtype == self.weight.dtype
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        if self.momentum is None or not (takes_rows or x.shape[2:] == (1, 1)):
            return super().forward(x)
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        statistics = self.running_mean, self.running_var
        if takes_rows:
            out: Tensor = _BatchNorm.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, *statistics, self.momentum, self.eps
            )
            return out
        rows = F.batch_norm(x.flatten(1), *statistics, self.weight, self.bias, True, self.momentum, self.eps)
        return rows[:, :, None, None]


class CpuReLU6(nn.ReLU6):
    """ReLU6; in place without the copy that PyTorch's makes on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape, to the same."""
        if not (self.inplace and x.is_cpu):
            return super().forward(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return x.clamp_(0, 6)
        if x.numel() < COSTLY_COPY or x.shape[2:] == (1, 1):
            return F.relu6(x)
        clamped: Tensor = _ClampInPlace.apply(x)  # type: ignore[no-untyped-call]
        return clamped


def depthwise_of_tiny(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """A 3x3 depthwise convolution with padding 1, where no output pixel lacks an input pixel in its window.

    Args:
        x: Shape (N, C, H, W), H and W at most 2.
        weight: Shape (C, 1, 3, 3).
        stride: Of both directions.

    Returns:
        Shape (N, C, ceil(H / stride), ceil(W / stride)), channels last in memory.
    """
    height, width = x.shape[2:]
    rows, columns = range(0, height, stride), range(0, width, stride)
    pixels = x.permute(0, 2, 3, 1).reshape(len(x), 1, height * width, x.shape[1])  # (N, 1, H W, C)
    taps = weight.permute(0, 2, 3, 1).flatten(1)  # (C, 9)
    # Which of the nine connects each output pixel with each input pixel
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
    with torch.inference_mode(False):  # or no later training could use it
        return torch.tensor(numbers)


class _ClampInPlace(torch.autograd.Function):
    """Clamp to [0, 6] in place; the gradient needs the result alone."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        x.clamp_(0, 6)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, 0, 6)
        return passed


class _BatchNorm(torch.autograd.Function):
    """Batch normalisation of (N, C, H, W) as passes over rows of several pixels' channels.

    A reduction or a product over rows of 512 values runs at the memory's speed, over rows of 8 it does not.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        rows = _Rows(x.shape)
        values = rows.of(x)
        mean = rows.total(values) / rows.pixels
        centred = values - rows.tile(mean)
        var = rows.total(centred * centred) / rows.pixels
        scale = (var + eps).rsqrt()
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (rows.pixels / (rows.pixels - 1)), momentum)  # unbiased, as PyTorch's
        ctx.save_for_backward(centred, weight, scale)
        ctx.rows = rows
        # Autograd refuses changes in place to a view that a function returns.
        out = torch.empty_like(x)
        torch.addcmul(rows.tile(bias), centred, rows.tile(weight * scale), out=rows.of(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centred, weight, scale = ctx.saved_tensors
        rows: _Rows = ctx.rows
        values = rows.of(gradient)
        bias_gradient = rows.total(values)
        weight_gradient = rows.total(values * centred) * scale
        factor = weight * scale
        slope = -factor * scale * weight_gradient / rows.pixels
        offset = -factor * bias_gradient / rows.pixels
        passed = torch.addcmul(rows.tile(offset), centred, rows.tile(slope))
        passed.addcmul_(values, rows.tile(factor))
        gradient_of_x = passed.view(rows.shape).permute(0, 3, 1, 2)
        return gradient_of_x, weight_gradient, bias_gradient, None, None, None, None


class _Rows:
    """(N, C, H, W) as rows of up to `ROW` values: the channels of several pixels, the same number in each."""

    def __init__(self, shape: torch.Size) -> None:
        n, self.channels, height, width = shape
        self.pixels = n * height * width
        self.repeats = 1
        while self.pixels % (2 * self.repeats) == 0 and 2 * self.repeats * self.channels <= ROW:
            self.repeats *= 2
        self.shape = (n, height, width, self.channels)

    def of(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(-1, self.repeats * self.channels)

    def total(self, rows: Tensor) -> Tensor:
        """Sum over pixels, (C,)."""
        return rows.sum(0).view(self.repeats, self.channels).sum(0)

    def tile(self, values: Tensor) -> Tensor:
        """(C,) to a row."""
        return values.repeat(self.repeats)


CPU_LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: CpuConv2d,
    nn.BatchNorm2d: CpuBatchNorm2d,
    nn.ReLU6: CpuReLU6,
}

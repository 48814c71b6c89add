"""Batch normalization that is faster on a CPU for networks with few channels.

PyTorch handles 16 channels at a time and the rest one by one, which dominates below 40 channels. Here several
pixels form a row of up to 512 values. A reduction or product over such rows runs at the speed of memory;
over rows of 8 values it does not.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

VECTOR = 16  # channels that PyTorch handles at a time
MAX_CHANNELS = 40  # rows are faster below this number of channels,
MIN_VALUES = 1 << 15  # and from this number of values on
ROW = 512  # values


class CpuBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that works on rows of several pixels in training, for few channels on a CPU.

    Args:
        layer: The layer to replace; its parameters and buffers are shared.
    """

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a batch of shape (N, C, H, W)."""
        if not (x.is_cpu and self.training and self.track_running_stats) or self.bias is None:
            return super().forward(x)
        uses_rows = (
            self.num_features < MAX_CHANNELS
            and self.num_features % VECTOR > 0
            and x.numel() >= MIN_VALUES
            and x.dtype == self.weight.dtype
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        if self.momentum is None or not (uses_rows or x.shape[2:] == (1, 1)):
            return super().forward(x)
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        statistics = self.running_mean, self.running_var
        if uses_rows:
            out: Tensor = _BatchNorm.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, *statistics, self.momentum, self.eps
            )
            return out
        rows = F.batch_norm(x.flatten(1), *statistics, self.weight, self.bias, True, self.momentum, self.eps)
        return rows[:, :, None, None]


class _BatchNorm(torch.autograd.Function):
    """Normalizes (N, C, H, W), with m = N H W pixels per channel, and updates the running statistics.

    forward: y = weight (x - mean) / std + bias.
    backward, with g the gradient of y and z = (x - mean) / std (Ioffe and Szegedy 2015, arXiv:1502.03167,
    section 3): the gradient of x is weight / std (g - sum(g) / m - z sum(g z) / m); those of weight and bias
    are sum(g z) and sum(g).
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
        values = rows.view(x)
        mean = rows.sum_pixels(values) / rows.pixels
        centered = values - rows.tile(mean)
        var = rows.sum_pixels(centered * centered) / rows.pixels
        scale = (var + eps).rsqrt()
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (rows.pixels / (rows.pixels - 1)), momentum)  # unbiased, as in PyTorch
        ctx.save_for_backward(centered, weight, scale)
        ctx.rows = rows
        # Returning a view would make autograd refuse the in-place activation that follows.
        out = torch.empty_like(x)
        torch.addcmul(rows.tile(bias), centered, rows.tile(weight * scale), out=rows.view(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centered, weight, scale = ctx.saved_tensors
        rows: _Rows = ctx.rows
        values = rows.view(gradient)
        bias_gradient = rows.sum_pixels(values)
        weight_gradient = rows.sum_pixels(values * centered) * scale
        factor = weight * scale
        slope = -factor * scale * weight_gradient / rows.pixels
        offset = -factor * bias_gradient / rows.pixels
        x_gradient = torch.addcmul(rows.tile(offset), centered, rows.tile(slope))
        x_gradient.addcmul_(values, rows.tile(factor))
        return rows.unview(x_gradient), weight_gradient, bias_gradient, None, None, None, None


class _Rows:
    """(N, C, H, W) as rows of up to `ROW` values: the channels of several pixels, equally many per row."""

    def __init__(self, shape: torch.Size) -> None:
        n, self.channels, height, width = shape
        self.pixels = n * height * width
        self.repeats = 1  # pixels per row
        while self.pixels % (2 * self.repeats) == 0 and 2 * self.repeats * self.channels <= ROW:
            self.repeats *= 2
        self.shape = (n, height, width, self.channels)

    def view(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (rows, repeats * C)."""
        return x.permute(0, 2, 3, 1).reshape(-1, self.repeats * self.channels)

    def unview(self, rows: Tensor) -> Tensor:
        """(rows, repeats * C) to (N, C, H, W)."""
        return rows.view(self.shape).permute(0, 3, 1, 2)

    def sum_pixels(self, rows: Tensor) -> Tensor:
        """(rows, repeats * C) to (C,)."""
        return rows.sum(0).view(self.repeats, self.channels).sum(0)

    def tile(self, values: Tensor) -> Tensor:
        """(C,) to (repeats * C,)."""
        return values.repeat(self.repeats)

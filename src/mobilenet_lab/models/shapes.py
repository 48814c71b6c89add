"""Build and run a network on shapes alone: no memory is allocated and nothing is computed.

PyTorch's meta device does the same, but its first operation imports 800 modules in 0.8 seconds. Here the
usual layers are formulas, and the others use the meta device.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn
from torch.overrides import TorchFunctionMode

Arguments = Mapping[str, Any] | None

FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.tensor}
INITIALIZERS = {
    Tensor.normal_,
    Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
}


class WithoutMemory(TorchFunctionMode):
    """Context in which new layers have tensors with a shape but no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Arguments = None) -> Any:
        """Create tensors on the meta device, and skip the initialization of their values."""
        options = dict(kwargs or {})
        if func in INITIALIZERS:
            return args[0] if args else options["tensor"]
        if func in FACTORIES:
            options["device"] = "meta"
        return func(*args, **options)


class CostCounter(TorchFunctionMode):
    """Context in which a network on the meta device maps shapes to shapes, and its cost is added up.

    Attributes:
        macs: Multiply-accumulates of convolutions, linear layers and matrix products.
        activations: Elements of all results that training keeps. Views and operations in place add none.
        peak: Elements of the inputs and the result of the largest operation, as prediction holds them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = self.activations = self.peak = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Arguments = None) -> Any:
        """Return the result of a function as a meta tensor, and add its cost."""
        options = dict(kwargs or {})
        if func is F.dropout:
            return args[0]
        if func in FORMULAS:
            shape, macs = FORMULAS[func](*args, **options)
            result = args[0] if options.get("inplace") else torch.empty(shape, device="meta")
        else:
            result, macs = _run_on_meta(func, args, options)
        self.macs += macs
        if isinstance(result, Tensor) and not result._is_view() and all(one is not result for one in args):
            self.activations += result.numel()
            inputs = sum(
                one.numel() for one in args if isinstance(one, Tensor) and not isinstance(one, nn.Parameter)
            )
            self.peak = max(self.peak, inputs + result.numel())
        return result


def _run_on_meta(func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, int]:
    """Return the result of a function without a formula, and its MACs by PyTorch's own counter."""
    name = getattr(func, "__name__", "")
    if name in CHEAP:  # the counter would import the modules that this module avoids
        return func(*args, **options), 0
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        result = func(*args, **options)
    return result, counter.get_total_flops() // 2


def _same_shape(x: Tensor, *_: Any, **__: Any) -> tuple[Size, int]:
    return x.shape, 0


def _broadcast(x: Tensor, y: Any, **_: Any) -> tuple[Size, int]:
    if not isinstance(y, Tensor) or y.shape == x.shape:
        return x.shape, 0
    return torch.broadcast_shapes(x.shape, y.shape), 0  # type: ignore[no-untyped-call] # imports 500 modules


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False) -> tuple[Sequence[int], int]:
    dims = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    reduced = {d % x.ndim for d in dims}
    kept = {d: 1 if d in reduced else side for d, side in enumerate(x.shape) if keepdim or d not in reduced}
    return list(kept.values()), 0


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Sequence[int], int]:
    shape = (*x.shape[:-1], len(weight))
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(f"a linear layer of {weight.shape[1]} inputs gets {x.shape[-1]}")
    return shape, x.numel() * len(weight)


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Sequence[int], int]:
    """Return the shape of a convolution's result, and its MACs.

    Raises:
        ValueError: PyTorch cannot compute it: the image is smaller than the kernel, or the channels differ.
    """
    if x.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"a convolution of {weight.shape[1] * groups} channels gets {x.shape[1]}")
    sides = list(x.shape[2:])
    if padding != "same":
        axes = zip(_pair(0 if padding == "valid" else padding), _pair(dilation), _pair(stride), strict=True)
        for axis, (pad, spread, step) in enumerate(axes):
            sides[axis] = (sides[axis] + 2 * pad - spread * (weight.shape[2 + axis] - 1) - 1) // step + 1
    if min(sides) < 1:
        raise ValueError(f"images of {x.shape[2]} x {x.shape[3]} pixels are too small for a convolution")
    return (len(x), len(weight), *sides), len(x) * sides[0] * sides[1] * weight.numel()


def _pair(value: Any) -> tuple[int, int]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * 2 if len(values) == 1 else values


# The functions that most convolutional networks use; each formula returns a shape and MACs
FORMULAS: dict[Any, Callable[..., tuple[Sequence[int], int]]] = {
    torch.conv2d: _conv2d,
    F.linear: _linear,
    Tensor.mean: _mean,
    **dict.fromkeys((Tensor.add, Tensor.mul), _broadcast),
    **dict.fromkeys((F.batch_norm, F.relu, F.relu6, F.hardtanh, F.silu, F.hardswish), _same_shape),
}
VIEWS = {"flatten", "permute", "reshape", "squeeze", "t", "transpose", "unsqueeze", "view"}
CHEAP = VIEWS | {"__get__", "__len__", "dim", "is_contiguous", "numel", "size", "stride"}

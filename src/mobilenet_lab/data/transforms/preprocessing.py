"""Convert a batch of bytes to the network's input, for training, evaluation and prediction."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.data.resize_modes import RESIZE_MODES, center_offset, resolve_resize, visible_side
from mobilenet_lab.runtime.errors import InputError

MAX_MEAN, MIN_STD = 1e6, 1e-6  # of pixels in [0, 1]; beyond them, normalized images may be infinite
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's conversion to grayscale


class Preprocessing(nn.Module):
    """Scales bytes to [0, 1], converts channels, resizes to a square and normalizes.

    It has no parameters and no persistent buffers; checkpoints store its `arguments`. Training calls the
    three steps one by one, with the augmentation between `resize` and `normalize`.

    Args:
        image_size: Side of the square in pixels.
        channels: 1 or 3. Grayscale images are repeated for 3, and color becomes luma for 1.
        mean: Mean of pixels in [0, 1]; one number, or one per channel.
        std: Standard deviation of pixels in [0, 1]; one number, or one per channel.
        resize: "pad" adds a black border to smaller images, "crop" cuts the center out of larger ones,
            "scale" interpolates, "auto" pads up to 1.25 times the size of the image and scales beyond.

    Raises:
        InputError: An argument is unknown or out of range.
    """

    _mean: float | Tensor
    _std: float | Tensor
    _luma: Tensor

    def __init__(
        self,
        image_size: int,
        channels: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        resize: str = "auto",
    ) -> None:
        super().__init__()
        if resize not in RESIZE_MODES:
            raise InputError(f"data.resize={resize}: must be one of {', '.join(RESIZE_MODES)}")
        if channels not in (1, 3) or type(channels) is not int:  # True and 1.0 are equal to 1
            raise InputError(f"data.channels={channels}: must be 1 or 3")
        _check_range("mean", mean, -MAX_MEAN)
        _check_range("std", std, MIN_STD)
        self.image_size = image_size
        self.channels = channels
        self.resize_mode = resize
        self.mean = self._constant("_mean", mean)
        self.std = self._constant("_std", std)
        self.register_buffer("_luma", _per_channel(LUMA), persistent=False)

    def _constant(self, name: str, value: float | Sequence[float]) -> float | list[float]:
        """Keep a number as it is, and several as a buffer that broadcasts over (N, C, H, W)."""
        if isinstance(value, float | int):
            setattr(self, name, value)
            return value
        self.register_buffer(name, _per_channel(value), persistent=False)
        return list(value)

    def forward(self, images: Tensor) -> Tensor:
        """Prepare a batch without augmentation.

        Args:
            images: uint8, shape (N, 1 or 3, H, W).

        Returns:
            float32, shape (N, channels, image_size, image_size), in channels-last memory format.
        """
        return self.normalize(self.resize(self.to_float(images)))

    def to_float(self, images: Tensor) -> Tensor:
        """Scale bytes to [0, 1], and convert color to luma if the network takes one channel.

        Args:
            images: uint8, shape (N, 1 or 3, H, W).

        Returns:
            float32, shape (N, C, H, W). C is 1 for grayscale images, even if the network takes 3 channels.
        """
        pixels = images.float().div_(255)
        if images.shape[1] == 3 and self.channels == 1:
            pixels = (pixels * self._luma).sum(dim=1, keepdim=True)
        return pixels

    def resize(self, pixels: Tensor) -> Tensor:
        """Resize a batch of shape (N, C, H, W) to (N, C, image_size, image_size).

        Raises:
            InputError: The images are larger than `image_size`, and `resize` is "pad"; or smaller, and it is
                "crop".
        """
        height, width = pixels.shape[2:]
        size, longer = self.image_size, max(height, width)
        if height != width:  # a black border, where `images.resize_to_square` puts it with fit="pad"
            top, left = round((longer - height) * 0.5), round((longer - width) * 0.5)
            pixels = F.pad(pixels, (left, longer - width - left, top, longer - height - top))
        if longer == size:
            return pixels
        mode = resolve_resize(self.resize_mode, longer, size)
        if mode == "scale":
            return self._interpolate(pixels)
        if mode == "crop":
            start = center_offset(longer, size)
            return pixels[:, :, start : start + size, start : start + size]
        before = (size - longer) // 2
        after = size - longer - before
        return F.pad(pixels, (before, after, before, after))

    def _interpolate(self, pixels: Tensor) -> Tensor:
        """Scale squares of shape (N, C, H, H) to (N, C, image_size, image_size)."""
        size = self.image_size
        antialias = size < pixels.shape[2]
        return F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False, antialias=antialias)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Subtract the mean, divide by the standard deviation, and repeat grayscale for 3 channels.

        Args:
            pixels: float32 in [0, 1], shape (N, C, H, W).

        Returns:
            float32, shape (N, channels, H, W), in channels-last memory format.
        """
        pixels = (pixels - self._mean) / self._std
        return pixels.expand(-1, self.channels, -1, -1).contiguous(memory_format=torch.channels_last)

    def visible_side(self, side: int) -> int:
        """Return what `resize_modes.visible_side` returns for squares of a side."""
        return visible_side(self.resize_mode, side, self.image_size)

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values, for checkpoints."""
        return {
            "image_size": self.image_size,
            "channels": self.channels,
            "mean": self.mean,
            "std": self.std,
            "resize": self.resize_mode,
        }


def _check_range(name: str, value: float | Sequence[float], lowest: float) -> None:
    values = [value] if isinstance(value, float | int) else value
    if not all(lowest <= one <= MAX_MEAN for one in values):
        raise InputError(f"data.{name}={value}: must be in [{lowest:g}, {MAX_MEAN:g}]")


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)

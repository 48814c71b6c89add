"""From bytes as read to what the network sees: one function for training, evaluation and prediction.

It works on whole batches, on whatever device they are. Its arguments are plain values that a
checkpoint keeps.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mobilenet_lab.runtime.errors import InputError

PAD_AT_MOST = 1.25  # resize="auto" pads up to this ratio of sizes, and scales beyond
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to grey


class Preprocessing:
    """Scale to [0, 1], convert channels, fit the size, normalise.

    Args:
        image_size: Pixels of the square that the network sees.
        channels: 1 or 3. Grey images are repeated for 3; colours become luma for 1.
        mean: Of pixels in [0, 1]; one number, or one a channel.
        std: Likewise.
        resize: "pad" puts black around smaller images, "scale" interpolates, "auto" pads up to
            1.25 times the image's size and scales beyond.

    Raises:
        InputError: an argument is unknown or out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        resize: str = "auto",
    ) -> None:
        if resize not in ("auto", "pad", "scale"):
            raise InputError(f"resize={resize}: must be auto, pad or scale")
        if channels not in (1, 3):
            raise InputError(f"channels={channels}: must be 1 or 3")
        self.image_size = image_size
        self.channels = channels
        self.mean = mean
        self.std = std
        self.resize = resize
        self._constants: dict[tuple[torch.device, str], Tensor] = {}

    def __call__(self, images: Tensor, augment: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Prepare a batch.

        Args:
            images: uint8, shape (N, 1 or 3, H, W).
            augment: Changes the images once they are floats in [0, 1] of the final size.

        Returns:
            float32, shape (N, channels, image_size, image_size), channels last in memory.
        """
        pixels = images.float().div_(255)
        if images.shape[1] == 3 and self.channels == 1:
            pixels = (pixels * self._per_channel("luma", LUMA, pixels)).sum(dim=1, keepdim=True)
        pixels = self._fit(pixels)
        if augment is not None:
            pixels = augment(pixels)
        mean = self._per_channel("mean", self.mean, pixels)
        pixels = (pixels - mean) / self._per_channel("std", self.std, pixels)
        return pixels.expand(-1, self.channels, -1, -1).contiguous(memory_format=torch.channels_last)

    def arguments(self) -> dict[str, object]:
        """What builds the same preprocessing again, as plain values."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def _fit(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[2:]
        size = self.image_size
        longer = max(height, width)
        if height != width:  # as `resize_to_square` does for a prediction
            top, left = round((longer - height) * 0.5), round((longer - width) * 0.5)
            pixels = F.pad(pixels, (left, longer - width - left, top, longer - height - top))
        pads = self.resize == "pad" or (self.resize == "auto" and longer <= size <= PAD_AT_MOST * longer)
        if longer == size:
            return pixels
        if not pads:
            shrinks = size < longer
            return F.interpolate(
                pixels, (size, size), mode="bilinear", align_corners=False, antialias=shrinks
            )
        if longer > size:
            raise InputError(f"data.image_size={size}: images of {longer} pixels cannot be padded to it")
        before = (size - longer) // 2
        after = size - longer - before
        return F.pad(pixels, (before, after, before, after))

    def _per_channel(self, name: str, value: float | Sequence[float], pixels: Tensor) -> float | Tensor:
        if isinstance(value, float | int):
            return value
        key = (pixels.device, name)
        if key not in self._constants:  # copied once: a copy waits for the device
            self._constants[key] = pixels.new_tensor(value).view(1, -1, 1, 1)
        return self._constants[key]

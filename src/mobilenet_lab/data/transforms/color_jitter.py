"""Random brightness, contrast, saturation and hue."""

import numpy as np
import torch
from torch import Generator, Tensor

from mobilenet_lab.data.transforms.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)
from mobilenet_lab.runtime.errors import InputError

MAX_HUE = 0.5  # half a turn of the color circle
STREAM = 0xC0  # keeps the random order apart from other random numbers


class ColorJitter:
    """Changes brightness, contrast, saturation and hue of each image.

    The factors are drawn per image as by torchvision's class: uniformly from [max(0, 1 - x), 1 + x], and the
    turn of the hue from [-x, x]. The order of the four changes is drawn per batch. Grayscale images keep
    their colors: only brightness and contrast change.

    Args:
        brightness, contrast, saturation: Largest change of the factor, at least 0.
        hue: Largest turn of the color circle in both directions, in [0, 0.5].

    Raises:
        InputError: An argument is out of range.
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
    ) -> None:
        if not 0 <= hue <= MAX_HUE:
            raise InputError(f"hue={hue}: must be in [0, {MAX_HUE}]")
        if min(brightness, contrast, saturation) < 0:
            raise InputError(
                f"brightness={brightness}, contrast={contrast}, saturation={saturation}: must be at least 0"
            )
        factors = (
            (adjust_brightness, brightness),
            (adjust_contrast, contrast),
            (adjust_saturation, saturation),
        )
        changes = [(change, max(0.0, 1 - most), 1 + most) for change, most in factors if most > 0]
        self._changes = [*changes, (adjust_hue, -hue, hue)] if hue > 0 else changes

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Change the colors of a batch.

        Args:
            images: Float in [0, 1], shape (N, 1 or 3, H, W).
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same shape and type.
        """
        count = len(self._changes)
        random = torch.rand((count, len(images)), generator=generator, device=images.device)
        # The order is drawn on the CPU, since reading it from a GPU would wait for the GPU.
        for i in np.random.default_rng((STREAM, generator.initial_seed())).permutation(count):
            change, low, high = self._changes[i]
            images = change(images, low + random[i] * (high - low))
        return images

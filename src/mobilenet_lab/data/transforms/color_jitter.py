"""Random brightness, contrast, saturation and hue."""

import torch
from torch import Generator, Tensor

from mobilenet_lab.data.transforms.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)


class ColorJitter:
    """Changes brightness, contrast, saturation and hue of each image.

    The factors are drawn per image as by torchvision's class: uniformly from [max(0, 1 - x), 1 + x], and the
    turn of the hue from [-x, x]. The order of the four changes is drawn per batch. Grayscale images keep
    their colors.

    Args:
        brightness, contrast, saturation: Largest change of the factor, at least 0.
        hue: Largest turn of the color circle in both directions, in [0, 0.5].
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
    ) -> None:
        changes = (
            (adjust_brightness, brightness),
            (adjust_contrast, contrast),
            (adjust_saturation, saturation),
            (adjust_hue, hue),
        )
        self._changes = [(change, strength) for change, strength in changes if strength > 0]

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
        order = torch.randperm(count, generator=torch.Generator().manual_seed(generator.initial_seed()))
        for i in order.tolist():
            change, strength = self._changes[i]
            if change is adjust_hue:
                images = change(images, (random[i] * 2 - 1) * strength)
            else:
                low = max(0.0, 1 - strength)
                images = change(images, low + random[i] * (1 + strength - low))
        return images

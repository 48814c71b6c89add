"""Random changes of whole batches, a different one for each picture, on the device that trains.

None of them mirrors: a mirrored digit is another sign, or none.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Identity:
    """Leaves pictures as they are."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return `images`."""
        return images


class RandomShift:
    """Shifts each picture by whole pixels; black enters at the edges.

    Args:
        pixels: At most so far, in each direction, all distances alike.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Shift a batch.

        Args:
            images: Shape (N, C, H, W).
            generator: Source of randomness, on the pictures' device.

        Returns:
            The same shape and type.
        """
        n, _, height, width = images.shape
        padded = F.pad(images, (self.pixels,) * 4)  # (N, C, H + 2 pixels, W + 2 pixels)
        top, left = torch.randint(0, 2 * self.pixels + 1, (2, n), generator=generator, device=images.device)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view, (N, C, 2 pixels + 1, ..., H, W)
        return windows[torch.arange(n, device=images.device), :, top, left]  # (N, C, H, W)


class RandomAffine:
    """Rotates, scales and shifts each picture, with bilinear interpolation; black enters at the edges.

    Args:
        degrees: Largest rotation, either way.
        translate: Largest shift, as a fraction of the side.
        scale: Smallest and largest size, 1 being the picture's own.
    """

    def __init__(self, degrees: float, translate: float, scale: tuple[float, float]) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Transform a batch.

        Args:
            images: Float, shape (N, C, H, W).
            generator: Source of randomness, on the pictures' device.

        Returns:
            The same shape and type.
        """
        n = len(images)
        random = torch.rand((4, n), generator=generator, device=images.device)
        angle = (random[0] * 2 - 1) * math.radians(self.degrees)
        scale = self.scale[0] + random[1] * (self.scale[1] - self.scale[0])
        # affine_grid maps output to input: a larger picture needs a smaller matrix. A side is 2 units.
        cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
        shift_x, shift_y = (random[2:] * 2 - 1) * (2 * self.translate)
        matrix = torch.stack([cosine, -sine, shift_x, sine, cosine, shift_y], dim=1).view(n, 2, 3)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

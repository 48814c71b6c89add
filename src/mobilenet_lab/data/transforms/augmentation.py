"""Random transforms of whole batches on the training device; every image gets its own random numbers.

Only `RandomHorizontalFlip` mirrors images: a mirrored digit is a different sign, or none.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mobilenet_lab.runtime.errors import InputError

FILLS = ("black", "noise", "mean")


class Identity:
    """Returns images unchanged."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return `images`."""
        return images


class RandomTranslate:
    """Shifts each image by whole pixels, and fills with black.

    Args:
        pixels: Largest distance in each direction; all distances are equally likely.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Shift the images of a batch.

        Args:
            images: Shape (N, C, H, W).
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same shape and type.
        """
        n, _, height, width = images.shape
        padded = F.pad(images, (self.pixels,) * 4)  # (N, C, H + 2 pixels, W + 2 pixels)
        top, left = torch.randint(0, 2 * self.pixels + 1, (2, n), generator=generator, device=images.device)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view, (N, C, 2 pixels + 1, ..., H, W)
        return windows[torch.arange(n, device=images.device), :, top, left]  # (N, C, H, W)


class RandomAffine:
    """Rotates, scales, shears and shifts each image with bilinear interpolation, and fills with black.

    Args:
        degrees: Largest rotation in both directions.
        translate: Largest shift in each direction, as a fraction of the side.
        scale: Smallest and largest scale factor.
        shear: Largest shear of vertical lines in both directions, in degrees.
    """

    def __init__(
        self, degrees: float, translate: float, scale: tuple[float, float], shear: float = 0.0
    ) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Transform the images of a batch.

        Args:
            images: Float, shape (N, C, H, W).
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same shape and type.
        """
        return F.grid_sample(images, self._grid(images, generator), align_corners=False)

    def _grid(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the source of each output pixel, shape (N, H, W, 2), in units of half a side."""
        n = len(images)
        random = torch.rand((5, n), generator=generator, device=images.device)
        angle = (random[0] * 2 - 1) * math.radians(self.degrees)
        scale = self.scale[0] + random[1] * (self.scale[1] - self.scale[0])
        # affine_grid maps output to input, so a larger image needs a smaller matrix. A side is 2 units.
        cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
        shift_x, shift_y = (random[2:4] * 2 - 1) * (2 * self.translate)
        shear = torch.tan((random[4] * 2 - 1) * math.radians(self.shear))
        rows = [cosine, shear * cosine - sine, shift_x, sine, shear * sine + cosine, shift_y]
        matrix = torch.stack(rows, dim=1).view(n, 2, 3)
        return F.affine_grid(matrix, list(images.shape), align_corners=False)


class RandomElasticAffine(RandomAffine):
    """Combines a random affine transform and an elastic deformation in a single interpolation.

    Random displacements on a coarse grid are smoothed by bicubic interpolation, as in Ronneberger et al. 2015
    (arXiv:1505.04597, section 3.1). Simard et al. 2003 introduced elastic deformations for MNIST.

    Args:
        degrees, translate, scale, shear: See `RandomAffine`.
        elastic: Standard deviation of the displacements on the coarse grid, as a fraction of the side.
        grid_size: Points of the coarse grid along a side.
    """

    def __init__(
        self,
        degrees: float,
        translate: float,
        scale: tuple[float, float],
        shear: float,
        elastic: float,
        grid_size: int,
    ) -> None:
        super().__init__(degrees, translate, scale, shear)
        self.elastic = elastic
        self.grid_size = grid_size

    def _grid(self, images: Tensor, generator: Generator) -> Tensor:
        grid = super()._grid(images, generator)
        coarse = torch.randn(
            (len(images), 2, self.grid_size, self.grid_size), generator=generator, device=images.device
        )
        smooth = F.interpolate(coarse, images.shape[2:], mode="bicubic", align_corners=True)
        return grid.add_(smooth.permute(0, 2, 3, 1), alpha=2 * self.elastic)  # a side is 2 units


class RandomErasing:
    """Erases a rectangle of some images (Zhong et al. 2017, arXiv:1708.04896).

    The paper keeps the rectangle inside the image. Here its center is anywhere in the image, and the edge
    cuts off the rest.

    Args:
        probability: Fraction of the images that are changed.
        area: Smallest and largest area of the whole rectangle, as a fraction of the image.
        aspect: Largest aspect ratio, for wide and high rectangles alike.
        fill: "black"; "noise", random values per pixel and channel as in the paper, drawn once per batch;
            or "mean", the mean color of the image.

    Raises:
        InputError: `fill` is unknown.
    """

    def __init__(
        self, probability: float, area: tuple[float, float], aspect: float, fill: str = "black"
    ) -> None:
        if fill not in FILLS:
            raise InputError(f"fill={fill}: must be one of {', '.join(FILLS)}")
        self.probability = probability
        self.area = area
        self.aspect = aspect
        self.fill = fill

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Erase rectangles in a batch.

        Args:
            images: Shape (N, C, H, W), with 0 for black and 1 for white.
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same shape and type.
        """
        chosen, area, aspect, *center = torch.rand(
            (5, len(images)), generator=generator, device=images.device
        )
        area = self.area[0] + area * (self.area[1] - self.area[0])
        half = area.sqrt() / 2
        stretch = ((aspect * 2 - 1) * math.log(self.aspect) / 2).exp()
        inside = box_mask(images.shape[2:], (center[0], center[1]), (half * stretch, half / stretch))
        erased = (inside & (chosen < self.probability)[:, None, None])[:, None]  # (N, 1, H, W)
        if self.fill == "black":
            return images.masked_fill(erased, 0)
        if self.fill == "mean":
            return torch.where(erased, images.mean(dim=(2, 3), keepdim=True), images)
        noise = torch.rand(images.shape[1:], generator=generator, device=images.device, dtype=images.dtype)
        return torch.where(erased, noise, images)


class RandomHorizontalFlip:
    """Flips half of the images left to right; suits photos of objects, but not digits or letters."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Flip images of a batch.

        Args:
            images: Shape (N, C, H, W).
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same shape and type.
        """
        chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        return torch.where(chosen[:, None, None, None], images.flip(3), images)


class Compose:
    """Applies several transforms in order.

    Args:
        **transforms: The names serve the configuration; None skips a transform.

    Attributes:
        takes_native_size: Whether one of them takes images as read; see `takes_native_size`.
    """

    def __init__(self, **transforms: Callable[..., Tensor] | None) -> None:
        self.transforms = [transform for transform in transforms.values() if transform is not None]
        self.takes_native_size = any(map(takes_native_size, self.transforms))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Transform a batch, shape (N, C, H, W)."""
        for transform in self.transforms:
            images = transform(images, generator=generator)
        return images


def takes_native_size(transform: Callable[..., Tensor]) -> bool:
    """Return whether a transform takes images as read, and resizes them itself.

    Others take images of the size of the network's input.
    """
    return getattr(transform, "takes_native_size", False)


def box_mask(size: Sequence[int], center: tuple[Tensor, Tensor], half: tuple[Tensor, Tensor]) -> Tensor:
    """Return which pixels are inside a box, one box per image; the edge of the image clips boxes.

    Args:
        size: Height and width in pixels.
        center: Vertical and horizontal position of the centers, shape (N,) each, as fractions of height and
            width.
        half: Half the height and half the width of the boxes, in the same form.

    Returns:
        Booleans, shape (N, H, W).
    """
    in_rows, in_columns = (
        ((torch.arange(length, device=middle.device) + 0.5) / length - middle[:, None]).abs() < reach[:, None]
        for length, middle, reach in zip(size, center, half, strict=True)
    )
    return in_rows[:, :, None] & in_columns[:, None, :]

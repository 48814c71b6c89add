"""Random changes of whole batches, a different one for each image, on the device that trains.

None but `RandomHorizontalFlip` mirrors: a mirrored digit is another sign, or none.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Identity:
    """Leaves images as they are."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return `images`."""
        return images


class RandomTranslate:
    """Shifts each image by whole pixels; black enters at the edges.

    Args:
        pixels: At most so far, in each direction, all distances alike.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Shift a batch.

        Args:
            images: Shape (N, C, H, W).
            generator: Source of randomness, on the images' device.

        Returns:
            The same shape and type.
        """
        n, _, height, width = images.shape
        padded = F.pad(images, (self.pixels,) * 4)  # (N, C, H + 2 pixels, W + 2 pixels)
        top, left = torch.randint(0, 2 * self.pixels + 1, (2, n), generator=generator, device=images.device)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view, (N, C, 2 pixels + 1, ..., H, W)
        return windows[torch.arange(n, device=images.device), :, top, left]  # (N, C, H, W)


class RandomAffine:
    """Rotates, scales, slants and shifts each image, bilinearly interpolated; black enters at the edges.

    Args:
        degrees: Largest rotation, either way.
        translate: Largest shift, as a fraction of the side.
        scale: Smallest and largest size, 1 being the image's own.
        shear: Largest slant of vertical lines, in degrees, either way.
    """

    def __init__(
        self, degrees: float, translate: float, scale: tuple[float, float], shear: float = 0.0
    ) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Transform a batch.

        Args:
            images: Float, shape (N, C, H, W).
            generator: Source of randomness, on the images' device.

        Returns:
            The same shape and type.
        """
        return F.grid_sample(images, self._grid(images, generator), align_corners=False)

    def _grid(self, images: Tensor, generator: Generator) -> Tensor:
        """Where each pixel comes from, shape (N, H, W, 2), in units of half a side."""
        n = len(images)
        random = torch.rand((5, n), generator=generator, device=images.device)
        angle = (random[0] * 2 - 1) * math.radians(self.degrees)
        scale = self.scale[0] + random[1] * (self.scale[1] - self.scale[0])
        # affine_grid maps output to input: a larger image needs a smaller matrix. A side is 2 units.
        cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
        shift_x, shift_y = (random[2:4] * 2 - 1) * (2 * self.translate)
        slant = torch.tan((random[4] * 2 - 1) * math.radians(self.shear))
        rows = [cosine, slant * cosine - sine, shift_x, sine, slant * sine + cosine, shift_y]
        matrix = torch.stack(rows, dim=1).view(n, 2, 3)
        return F.affine_grid(matrix, list(images.shape), align_corners=False)


class RandomElasticAffine(RandomAffine):
    """A random affine change and an elastic deformation, with one interpolation for both.

    Random displacements on a coarse grid are made smooth by bicubic interpolation, as in Ronneberger et
    al. 2015 (arXiv:1505.04597, section 3.1); Simard et al. 2003 used elastic deformations on MNIST first.

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
    """Blackens a rectangle of some images (Zhong et al. 2017, arXiv:1708.04896).

    The paper fills it with noise and keeps it inside the image; here its centre lies anywhere, and the edge
    cuts off the rest.

    Args:
        probability: Share of the images.
        area: Smallest and largest area of the whole rectangle, as a fraction of the image's.
        aspect: Largest ratio of its sides, either way.
    """

    def __init__(self, probability: float, area: tuple[float, float], aspect: float) -> None:
        self.probability = probability
        self.area = area
        self.aspect = aspect

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Blacken rectangles of a batch.

        Args:
            images: Shape (N, C, H, W), black being 0.
            generator: Source of randomness, on the images' device.

        Returns:
            The same shape and type.
        """
        chosen, area, aspect, *centre = torch.rand(
            (5, len(images)), generator=generator, device=images.device
        )
        area = self.area[0] + area * (self.area[1] - self.area[0])
        half = area.sqrt() / 2
        stretch = ((aspect * 2 - 1) * math.log(self.aspect) / 2).exp()
        inside = box_mask(images.shape[2:], (centre[0], centre[1]), (half * stretch, half / stretch))
        return images.masked_fill((inside & (chosen < self.probability)[:, None, None])[:, None], 0)


class RandomHorizontalFlip:
    """Mirrors half of the images left to right: for things, not for digits or letters."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Mirror images of a batch.

        Args:
            images: Shape (N, C, H, W).
            generator: Source of randomness, on the images' device.

        Returns:
            The same shape and type.
        """
        chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        return torch.where(chosen[:, None, None, None], images.flip(3), images)


class Compose:
    """Several changes, one after another.

    Args:
        **changes: In their order; the names serve the configuration, and a null one is left out.
    """

    def __init__(self, **changes: Callable[..., Tensor] | None) -> None:
        self.changes = [change for change in changes.values() if change is not None]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Change a batch, shape (N, C, H, W)."""
        for change in self.changes:
            images = change(images, generator=generator)
        return images


def box_mask(size: Sequence[int], centre: tuple[Tensor, Tensor], half: tuple[Tensor, Tensor]) -> Tensor:
    """Which pixels lie in a box of each image; pixels outside the image are left out.

    Args:
        size: Height and width in pixels.
        centre: Of the boxes, y and x, shape (N,) each, as fractions of height and width.
        half: Of the boxes' heights and widths, likewise.

    Returns:
        Booleans, shape (N, H, W).
    """
    in_rows, in_columns = (
        ((torch.arange(length, device=middle.device) + 0.5) / length - middle[:, None]).abs() < reach[:, None]
        for length, middle, reach in zip(size, centre, half, strict=True)
    )
    return in_rows[:, :, None] & in_columns[:, None, :]

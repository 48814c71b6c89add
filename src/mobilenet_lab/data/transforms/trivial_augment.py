"""TrivialAugment: one random change of random strength per image."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mobilenet_lab.data.transforms import color

BINS = 31  # strengths from none to the largest
MAX_SHEAR = 0.99
MAX_ROTATION = 135.0  # degrees
MAX_CHANGE = 0.99  # of a factor of brightness, saturation, contrast or sharpness
LOWEST_BITS = 2
STREAM = 0x7A  # keeps the random numbers apart from those of other transforms


class TrivialAugmentWide:
    """Applies one of 14 changes to each image, with one of 31 strengths (arXiv:2103.10158).

    Müller and Hutter 2021 found that a uniform choice of both, from their "wide" space, is as good as
    policies that have been searched for. It has no parameters. Geometric changes interpolate bilinearly and
    fill with black. The paper shears about the upper left corner; here the center stays in place, so that
    less of the object leaves the image.

    Args:
        translate: Largest shift as a fraction of the side; the paper's is 32 pixels, a seventh of 224.
    """

    def __init__(self, translate: float = 1 / 7) -> None:
        self.translate = translate
        self._changes: Sequence[Callable[[Tensor, Tensor], Tensor]] = (
            lambda images, _: images,
            lambda images, strength: _warp(images, shear_x=MAX_SHEAR * strength),
            lambda images, strength: _warp(images, shear_y=MAX_SHEAR * strength),
            lambda images, strength: _warp(images, shift_x=self.translate * strength),
            lambda images, strength: _warp(images, shift_y=self.translate * strength),
            lambda images, strength: _warp(images, angle=math.radians(MAX_ROTATION) * strength),
            lambda images, strength: color.adjust_brightness(images, 1 + MAX_CHANGE * strength),
            lambda images, strength: color.adjust_saturation(images, 1 + MAX_CHANGE * strength),
            lambda images, strength: color.adjust_contrast(images, 1 + MAX_CHANGE * strength),
            lambda images, strength: color.adjust_sharpness(images, 1 + MAX_CHANGE * strength),
            lambda images, strength: color.posterize(images, _bits(strength)),
            lambda images, strength: color.solarize(images, 1 - strength.abs()),
            lambda images, _: color.autocontrast(images),
            lambda images, _: color.equalize(images),
        )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Change the images of a batch.

        Args:
            images: Float in [0, 1], shape (N, 1 or 3, H, W).
            generator: Source of random numbers; its seed alone determines the result.

        Returns:
            Same shape and type.
        """
        # Images are grouped on the CPU. Reading the groups from a GPU would wait for the GPU.
        random = np.random.default_rng((STREAM, generator.initial_seed()))
        chosen = random.integers(len(self._changes), size=len(images))
        strengths = random.integers(BINS, size=len(images)) / (BINS - 1)
        strengths *= random.choice((-1, 1), size=len(images))
        order = np.argsort(chosen, kind="stable")
        counts = np.bincount(chosen, minlength=len(self._changes)).tolist()
        positions = torch.from_numpy(order).to(images.device, non_blocking=True)
        strength = torch.from_numpy(strengths[order].astype(np.float32)).to(images, non_blocking=True)
        changed = torch.empty_like(images)
        groups = zip(
            self._changes, positions.split_with_sizes(counts), strength.split_with_sizes(counts), strict=True
        )
        for change, group, group_strength in groups:
            if len(group):
                changed[group] = change(images[group], group_strength)
        return changed


def _bits(strength: Tensor) -> Tensor:
    """Return how many bits remain: 8 for no strength, 2 for the largest one."""
    return 8 - (strength.abs() * (8 - LOWEST_BITS)).round()


def _warp(
    images: Tensor,
    shear_x: Tensor | float = 0.0,
    shear_y: Tensor | float = 0.0,
    shift_x: Tensor | float = 0.0,
    shift_y: Tensor | float = 0.0,
    angle: Tensor | float = 0.0,
) -> Tensor:
    """Shear, shift or rotate images about their centers.

    Args:
        images: Shape (N, C, H, W).
        shear_x: Tangent of the angle of vertical lines, shape (N,).
        shear_y: Tangent of the angle of horizontal lines, shape (N,).
        shift_x: To the right, as a fraction of the width, shape (N,).
        shift_y: Downwards, as a fraction of the height, shape (N,).
        angle: Counterclockwise, in radians, shape (N,).
    """
    count, _, height, width = images.shape
    zeros = images.new_zeros(count)
    shear_x, shear_y, shift_x, shift_y, angle = (
        zeros + value for value in (shear_x, shear_y, shift_x, shift_y, angle)
    )
    # affine_grid maps output to input, in units of half a side.
    cosine, sine, aspect = torch.cos(angle), torch.sin(angle), height / width
    rows = [cosine, shear_x * aspect - sine * aspect, -2 * shift_x]
    rows += [shear_y / aspect + sine / aspect, cosine, -2 * shift_y]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(count, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)

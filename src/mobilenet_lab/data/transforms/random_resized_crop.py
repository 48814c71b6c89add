"""Random crops of random size and aspect ratio, resized to the network's input size."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

ATTEMPTS = 10  # crops to draw per image, as in torchvision

Boxes = tuple[Tensor, Tensor, Tensor, Tensor]  # top, left, height and width in whole pixels, shape (N,) each


class RandomResizedCrop:
    """Crops a random box of each image and resizes it to a square (Szegedy et al. 2014, arXiv:1409.4842).

    Area and aspect ratio follow the laws of torchvision's class: the area is uniform, the logarithm of the
    aspect ratio is uniform, and after ten boxes that do not fit, the largest centered one is taken. Boxes are
    resized with antialiased bilinear interpolation.

    Args:
        image_size: Side of the result in pixels.
        scale: Smallest and largest area of the box, as a fraction of the image's.
        ratio: Smallest and largest width over height.
    """

    takes_native_size = True  # images as read, before they are resized to the network's input size

    def __init__(self, image_size: int, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
        self.image_size = image_size
        self.scale = scale
        self.ratio = ratio

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Crop and resize the images of a batch.

        Args:
            images: Float, shape (N, C, H, W).
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same type, shape (N, C, image_size, image_size).
        """
        height, width = images.shape[2:]
        boxes = self._boxes(len(images), height, width, generator)
        resize = _resize_one_by_one if images.device.type == "cpu" else _resize_by_matrices
        return resize(images, boxes, self.image_size)

    def _boxes(self, count: int, height: int, width: int, generator: Generator) -> Boxes:
        """Draw a box per image."""
        area, shape, *place = torch.rand((4, ATTEMPTS, count), generator=generator, device=generator.device)
        area = height * width * (self.scale[0] + area * (self.scale[1] - self.scale[0]))
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        aspect = (low + shape * (high - low)).exp()
        box_width, box_height = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (box_width >= 1) & (box_width <= width) & (box_height >= 1) & (box_height <= height)
        first = fits.to(torch.uint8).argmax(dim=0, keepdim=True)  # index of the first box that fits, or 0
        found = fits.any(dim=0)
        default = self._largest_box(height, width)
        box_height, box_width = (
            torch.where(found, sides.gather(0, first)[0], float(side))
            for sides, side in zip((box_height, box_width), default, strict=True)
        )
        shift_y, shift_x = (torch.where(found, random.gather(0, first)[0], 0.5) for random in place)
        rest_y, rest_x = height - box_height, width - box_width
        top = torch.minimum((shift_y * (rest_y + 1)).floor(), rest_y)
        left = torch.minimum((shift_x * (rest_x + 1)).floor(), rest_x)
        return top, left, box_height, box_width

    def _largest_box(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the largest box with an allowed aspect ratio."""
        if width < self.ratio[0] * height:
            return round(width / self.ratio[0]), width
        if width > self.ratio[1] * height:
            return height, round(height * self.ratio[1])
        return height, width


def _resize_one_by_one(images: Tensor, boxes: Boxes, size: int) -> Tensor:
    """Resize the boxes of a batch, which takes half the time of matrices on a CPU."""
    resized = images.new_empty(*images.shape[:2], size, size)
    for i, (top, left, height, width) in enumerate(torch.stack(boxes, dim=1).long().tolist()):
        box = images[i : i + 1, :, top : top + height, left : left + width]
        resized[i] = F.interpolate(box, (size, size), mode="bilinear", antialias=True)[0]
    return resized


def _resize_by_matrices(images: Tensor, boxes: Boxes, size: int) -> Tensor:
    """Resize the boxes of a batch without reading them, which would wait for the GPU."""
    top, left, box_height, box_width = boxes
    height, width = images.shape[2:]
    rows = bilinear_weights(top, box_height, height, size).to(images.dtype)[:, None]  # (N, 1, size, H)
    columns = bilinear_weights(left, box_width, width, size).to(images.dtype)[:, None]  # (N, 1, size, W)
    return rows @ images @ columns.transpose(2, 3)


def bilinear_weights(start: Tensor, length: Tensor, side: int, size: int) -> Tensor:
    """Return the weights of antialiased bilinear interpolation of intervals, as Pillow defines them.

    Args:
        start: First pixel of each interval, shape (N,).
        length: Pixels of each interval, shape (N,).
        side: Pixels of the line that the intervals are in.
        size: Pixels of the result.

    Returns:
        Shape (N, size, side). Each row sums to 1, and is 0 outside of the interval.
    """
    device = start.device
    scale = (length / size)[:, None, None]
    center = start[:, None, None] + (torch.arange(size, device=device)[:, None] + 0.5) * scale
    pixel = torch.arange(side, device=device) + 0.5
    weights = (1 - (pixel - center).abs() / scale.clamp(min=1)).clamp(min=0)
    inside = (pixel > start[:, None, None]) & (pixel < (start + length)[:, None, None])
    weights = weights * inside
    return weights / weights.sum(dim=2, keepdim=True)

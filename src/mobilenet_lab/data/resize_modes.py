"""How squares that were read from the data set become squares of the size that the network takes."""

import numpy as np

from mobilenet_lab.runtime.errors import InputError

RESIZE_MODES = ("auto", "crop", "pad", "scale")
MAX_RATIO = 1.25  # of the sizes, up to which resize="auto" pads or crops; beyond, it scales


def choose_resize(resize: str, fit: str, native_size: int, image_size: int) -> str:
    """Return the mode for a data set: "auto" becomes "crop" or "scale" for photographs.

    Photographs are the images of a source with fit="crop". A black border would be foreign to them. Reading
    them a little larger than the network takes them and cropping the center is how networks for ImageNet are
    evaluated.

    Args:
        resize: One of `RESIZE_MODES`.
        fit: How the source makes images square; see `images.resize_to_square`.
        native_size: Side in pixels of the images as read.
        image_size: Side in pixels of the images that the network takes.
    """
    if resize != "auto" or fit != "crop" or native_size == image_size:
        return resize
    return "crop" if image_size < native_size <= MAX_RATIO * image_size else "scale"


def resolve_resize(resize: str, side: int, image_size: int) -> str:
    """Return "crop", "pad" or "scale" for squares of a side.

    Raises:
        InputError: The squares are too large to be padded, or too small to be cropped.
    """
    if resize == "auto":
        return "pad" if side <= image_size <= MAX_RATIO * side else "scale"
    if resize == "pad" and side > image_size:
        raise InputError(
            f"data.image_size={image_size}: images of {side} pixels cannot be padded to it; "
            "use a larger size or data.resize=scale"
        )
    if resize == "crop" and side < image_size:
        raise InputError(
            f"data.image_size={image_size}: images of {side} pixels cannot be cropped to it; "
            "use a smaller size or data.resize=scale"
        )
    return resize


def visible_side(resize: str, side: int, image_size: int) -> int:
    """Return the side of the centered square that the network sees, in pixels of images as read.

    It is smaller than the image if that is cropped, and larger if that is padded.
    """
    return side if resolve_resize(resize, side, image_size) == "scale" else image_size


def center_offset(side: int, size: int) -> int:
    """Return the first row or column of a centered crop, rounded as in torchvision's `CenterCrop`."""
    return round((side - size) / 2)


def crop_center(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the centered square of images, shape (..., H, W), as a view of shape (..., side, side)."""
    top, left = (center_offset(length, side) for length in pixels.shape[-2:])
    return pixels[..., top : top + side, left : left + side]

"""Take images as Python programs have them: paths, PIL images and NumPy arrays."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mobilenet_lab.data.image_depth import (
    FLOAT_WHITES,
    INTEGER_WHITES,
    log_bits_used,
    scale_to_bytes,
    white_level,
)
from mobilenet_lab.data.images import load_image, to_gray_or_rgb, without_pillow_warnings
from mobilenet_lab.inference.web_addresses import is_url, without_secrets
from mobilenet_lab.runtime.errors import InputError

ImageInput = str | Path | Image.Image | np.ndarray
NUMBERS = "buif"  # kinds of NumPy types: bool, unsigned, signed, float
ACCEPTED = "give a path, a PIL image, or a NumPy array of shape (H, W) or (H, W, C) with 1, 3 or 4 channels"


def open_inputs(
    images: ImageInput | Sequence[ImageInput], for_size: int | None = None
) -> Iterator[Image.Image]:
    """Yield images upright, in mode "L" or "RGB"; see `Predictor.__call__`.

    Args:
        images: One or several inputs.
        for_size: See `images.load_image`, for those that are decoded here.

    Raises:
        InputError: A file cannot be read, or an input is not an image.
    """
    several: Any = [images] if _is_one(images) else images
    if not isinstance(several, Iterable):
        raise InputError(f"images: is a {type(images).__name__}; {ACCEPTED}")
    for i, image in enumerate(several):
        name = f"images[{i}]"
        if isinstance(image, str) and is_url(image):
            from mobilenet_lab.inference.web_images import load_url  # imports what few programs need

            opened, name = load_url(image, for_size), without_secrets(image)
        elif isinstance(image, str | Path):
            opened = load_image(Path(image), for_size=for_size)
            name = str(image)
        elif isinstance(image, Image.Image):
            with without_pillow_warnings():
                opened = to_gray_or_rgb(image)
        elif isinstance(image, np.ndarray):
            opened = to_gray_or_rgb(_image_from(image, name))
        else:
            raise InputError(f"{name}: is a {type(image).__name__}; {ACCEPTED}")
        log_bits_used(opened, name)
        yield opened


def _is_one(images: Any) -> bool:
    """Return whether an input is a single image; an array of shape (N, H, W) is several."""
    if isinstance(images, np.ndarray):
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4))
    return isinstance(images, str | Path | Image.Image)


def _image_from(values: np.ndarray, name: str) -> Image.Image:
    is_image = values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (1, 3, 4))
    if not is_image or values.dtype.kind not in NUMBERS or 0 in values.shape:
        raise InputError(f"{name}: is an array of shape {values.shape} and type {values.dtype}; {ACCEPTED}")
    if values.dtype != np.uint8:
        whites = FLOAT_WHITES if values.dtype.kind in "bf" else INTEGER_WHITES
        values = scale_to_bytes(values, white_level(values, whites))
    return Image.fromarray(values[..., 0] if values.shape[2:] == (1,) else values)

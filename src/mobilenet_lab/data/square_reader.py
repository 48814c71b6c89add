"""Read an image file as a square of bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobilenet_lab.data import fast_jpeg
from mobilenet_lab.data.image_depth import log_bits_used
from mobilenet_lab.data.images import FITS, load_image, resize_to_square
from mobilenet_lab.runtime.errors import InputError

DECODERS = ("pillow", "simplejpeg")


@dataclass(frozen=True)
class SquareReader:
    """Reads image files in the format of a data set.

    Args:
        size, channels, fit: See `images.resize_to_square`.
        decoder: "pillow", or "simplejpeg" for faster decoding of JPEG files with the package of that name.

    Raises:
        InputError: `fit` or `decoder` is unknown, or the package is not installed.
    """

    size: int
    channels: int
    fit: str
    decoder: str = "pillow"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise InputError(f"data.source.fit={self.fit}: must be one of {', '.join(FITS)}")
        if self.decoder not in DECODERS:
            raise InputError(f"data.source.decoder={self.decoder}: must be one of {', '.join(DECODERS)}")
        if self.decoder == "simplejpeg":
            fast_jpeg.check_installed()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image, (channels, size, size)."""
        return self.channels, self.size, self.size

    def __call__(self, path: Path, name: str) -> np.ndarray:
        """Read a file.

        Args:
            path: The file.
            name: Name for log messages.

        Returns:
            uint8, shape (channels, size, size).

        Raises:
            InputError: The file cannot be read or decoded.
        """
        if self.decoder == "simplejpeg":
            square = fast_jpeg.read_square(path, self.size, self.channels, self.fit)
            if square is not None:
                return square
        image = load_image(path, for_size=self.size)
        log_bits_used(image, name)
        return resize_to_square(image, self.size, self.channels, self.fit)

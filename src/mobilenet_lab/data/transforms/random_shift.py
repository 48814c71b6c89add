"""Random shifts by a fraction of the side."""

from torch import Generator, Tensor

from mobilenet_lab.data.transforms.augmentation import RandomTranslate


class RandomShift:
    """Shifts each image by whole pixels, up to a fraction of its side, and fills with black.

    Args:
        fraction: Largest distance in each direction as a fraction of the shorter side; all distances are
            equally likely.
    """

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Shift the images of a batch.

        Args:
            images: Shape (N, C, H, W).
            generator: Source of random numbers, on the device of the images.

        Returns:
            Same shape and type.
        """
        pixels = int(self.fraction * min(images.shape[2:]))
        return RandomTranslate(pixels)(images, generator)

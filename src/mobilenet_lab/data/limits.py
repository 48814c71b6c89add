"""The size of images that can be trained on, which is also the size that a checkpoint may ask for."""

from mobilenet_lab.runtime.errors import InputError

MAX_SIDE = 4096  # pixels; the rule of data.image_size in conf/data/mnist.yaml says the same


def check_side(side: int, setting: str) -> None:
    """Refuse a size that prediction would refuse.

    Args:
        side: Pixels per side.
        setting: The setting or the files that have it, for the message.

    Raises:
        InputError: The size is not from 1 to `MAX_SIDE`.
    """
    if not 1 <= side <= MAX_SIDE:
        raise InputError(f"{setting}: images have {side:,} pixels per side; use 1 to {MAX_SIDE:,}")

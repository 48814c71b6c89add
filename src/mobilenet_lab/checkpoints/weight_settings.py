"""Find the settings of MobileNetV2 that fit given weights, for error messages."""

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

from mobilenet_lab.models.mobilenet_v2 import STEM_CHANNELS, MobileNetV2, round_channels
from mobilenet_lab.models.shapes import WithoutMemory

STEM = "features.0.0.weight"
DIVISOR = 8  # `round_to` of torchvision and of the paper's reference code
PUBLISHED_WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def find_settings(network: nn.Module, found: Mapping[str, Tensor], ignored: Collection[str]) -> str | None:
    """Return the settings of a MobileNetV2 with the shapes of the weights.

    Args:
        network: The network that the weights do not fit.
        found: The weights, by name.
        ignored: Names of weights that may have another shape.

    Returns:
        For example "model.filters=8 model.round_to=8"; None if no width fits, or for another network.
    """
    kernel = found.get(STEM)
    if not isinstance(network, MobileNetV2) or kernel is None or kernel.ndim != 4 or not kernel.numel():
        return None
    for filters, round_to in _candidates(len(kernel)):
        with WithoutMemory(), torch.random.fork_rng(devices=[]):
            candidate = MobileNetV2(filters, kernel.shape[1], round_to=round_to)
        shapes = {key: value.shape for key, value in candidate.state_dict().items() if key not in ignored}
        if all(key in found and found[key].shape == shape for key, shape in shapes.items()):
            return f"model.filters={filters:g} model.round_to={round_to}"
    return None


def _candidates(stem: int) -> Iterator[tuple[float, int]]:
    """Yield values of `filters` and `round_to` that give the first convolution this number of channels."""
    if stem % STEM_CHANNELS == 0 and stem > 0:
        yield stem // STEM_CHANNELS, 1
        yield stem // STEM_CHANNELS, DIVISOR
    for width in PUBLISHED_WIDTHS:
        filters = round(width * 8, 1)
        if round_channels(STEM_CHANNELS * filters, DIVISOR) == stem:
            yield filters, DIVISOR

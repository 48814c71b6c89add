"""Start a network from pretrained weights."""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from mobilenet_lab.checkpoints.fit_weights import Fitted, fit_weights
from mobilenet_lab.checkpoints.locate import find_weights
from mobilenet_lab.checkpoints.network import check_weights
from mobilenet_lab.checkpoints.weights_file import read_weights
from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)


def load_pretrained(
    network: nn.Module, weights: str | Path, classes: Sequence[str] | None = None, key: str = "weights"
) -> Fitted:
    """Load pretrained weights into a network, and log what was loaded.

    The classifier keeps its initial values if the weights are for other classes. The first convolution is
    converted between one and three channels. Everything else must fit.

    Args:
        network: The network.
        weights: "imagenet" for torchvision's ImageNet weights, a `.pth`, `.pt` or `.safetensors` file with
            torchvision's names, a checkpoint of this project, a run folder, or "latest".
        classes: Names of the network's classes, by label. With None, only their number is compared.
        key: Name of the setting, for error messages.

    Returns:
        What was loaded, skipped and initialized.

    Raises:
        FileNotFoundError: The file does not exist.
        InputError: The file cannot be read, a weight is NaN or infinite, or the weights do not fit.
    """
    path = find_weights(weights, key)
    try:
        fitted = fit_weights(read_weights(path), network, classes)
        check_weights(fitted.tensors)
    except InputError as error:
        advice = "" if ";" in str(error) else "; use other weights"
        reason = str(error).removeprefix(f"{weights}: ")  # the file is named already
        raise InputError(f"{key}={weights}: {reason}{advice}") from error
    network.load_state_dict(network.state_dict() | fitted.tensors)
    log.info("weights  %s: %s", weights, fitted)
    return fitted

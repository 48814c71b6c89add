"""Check the settings of a network that can be judged without PyTorch."""

from collections.abc import Mapping
from typing import Any

from mobilenet_lab.checkpoints.imagenet import IMAGENET, MODEL
from mobilenet_lab.checkpoints.locate import find_weights
from mobilenet_lab.config.nested import shown
from mobilenet_lab.runtime.errors import InputError

WIDTH_1 = MODEL["filters"]  # all channels are multiples of it


def check_model(model: Mapping[str, Any]) -> None:
    """Refuse fractions of channels, and networks that the ImageNet weights do not fit.

    Raises:
        InputError: A setting contradicts another one.
    """
    network, weights = model["network"], model.get("weights")
    if weights == IMAGENET and network != MODEL["network"]:
        raise InputError(
            f"model.weights={IMAGENET}: are weights of {MODEL['network']}, but model.network={network}; use "
            "weights of that network"
        )
    if network != MODEL["network"] or not {"filters", "round_to"} <= model.keys():
        return
    filters, round_to = model["filters"], model["round_to"]
    if filters != int(filters) and round_to == 1:
        raise InputError(
            f"model.filters={shown(filters)}: makes fractions of channels; use model.round_to=8 or an integer"
        )
    if weights == IMAGENET and filters != WIDTH_1:
        rounding = f" model.round_to={MODEL['round_to']}" if WIDTH_1 % round_to else ""
        raise InputError(
            f"model.weights={IMAGENET}: has the width of model.filters={WIDTH_1}, but this is model.filters="
            f"{shown(filters)}; use model.filters={WIDTH_1}{rounding}"
        )
    if weights == IMAGENET and WIDTH_1 % round_to:
        raise InputError(
            f"model.weights={IMAGENET}: has channels that are no multiples of model.round_to={round_to}; use "
            f"model.round_to={MODEL['round_to']}"
        )


def check_weights_exist(model: Mapping[str, Any]) -> None:
    """Refuse a path of weights that does not exist.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is an exported model.
    """
    if model.get("weights") not in (None, IMAGENET):
        find_weights(model["weights"], "model.weights")

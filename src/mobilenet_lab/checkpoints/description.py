"""Check the description of a trained network: arguments, classes, preprocessing and data, as plain values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobilenet_lab.checkpoints.state import MAX_STEPS, is_finite_number, is_whole
from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.data.images import FITS
from mobilenet_lab.data.limits import MAX_SIDE
from mobilenet_lab.data.resize_modes import RESIZE_MODES, resolve_resize
from mobilenet_lab.runtime.errors import InputError

GROUPS = ("model", "preprocessing", "data")
CLASSES = "classes"
MAX_TEXT = 255  # characters of a name or a value


def check_description(hparams: Any, path: Path) -> None:
    """Refuse a description with unexpected types or values, before anything is built from it.

    Args:
        hparams: The hyper-parameters in the checkpoint.
        path: Its file, for error messages.

    Raises:
        InputError: A value is missing, has another type, is out of range or cannot be printed.
    """
    given = hparams if isinstance(hparams, dict) else {}
    if missing := [group for group in GROUPS if not isinstance(given.get(group), dict)]:
        raise InputError(
            f"{path}: not a checkpoint of this version of the project; hyper_parameters lacks "
            f"{', '.join(missing)}; use another checkpoint"
        )
    model, classes = given["model"], given.get(CLASSES)
    valid = {
        "hyper_parameters": given.keys() == {*GROUPS, CLASSES} and has_short_texts(given),
        "model": all(isinstance(key, str) for key in model),
        "model.network": isinstance(model.get("network"), str),
    }
    wrong = [key for key, is_valid in valid.items() if not is_valid]
    if wrong := wrong + invalid_keys(classes, given["preprocessing"], given["data"]):
        raise InputError(
            f"{path}: not a checkpoint of this project, invalid {', '.join(wrong)}; use another one"
        )
    check_class_names(given[CLASSES], str(path), "use another checkpoint")


def invalid_keys(classes: Any, preprocessing: dict[Any, Any], data: dict[Any, Any]) -> list[str]:
    """Return the keys whose values have an unexpected type or are out of range.

    Args:
        classes: Class names. `check_class_names` checks the names themselves.
        preprocessing: Arguments of `Preprocessing`.
        data: The data set; see `ImageDataModule.describe`.
    """
    channels = preprocessing.get("channels")
    valid = {
        CLASSES: isinstance(classes, list | tuple) and len(classes) > 0,
        "preprocessing.channels": is_whole(channels) and channels in (1, 3),
        "preprocessing.image_size": _is_side(preprocessing.get("image_size")),
        "preprocessing.resize": _can_resize(preprocessing, data),
        "preprocessing.mean": _is_per_channel(preprocessing.get("mean"), channels),
        "preprocessing.std": _is_per_channel(preprocessing.get("std"), channels),
        "data.name": isinstance(data.get("name"), str),
        "data.native_size": _is_side(data.get("native_size")),
        "data.mnist_style": isinstance(data.get("mnist_style"), bool),
        "data.fit": isinstance(data.get("fit"), str) and data["fit"] in FITS,
        "data.stratified": isinstance(data.get("stratified", False), bool),
        "data.images": _is_count(data.get("images", 0), 0),
        "data.val_split": _is_share(data.get("val_split", 0)),
        "data.test_split": data.get("test_split") is None or _is_share(data["test_split"]),
        "data.split_seed": _is_count(data.get("split_seed", 0), 0),
        "data.max_train_samples": _is_count(data.get("max_train_samples") or 1, 1),
    }
    others = [value for key, value in data.items() if f"data.{key}" not in valid]
    valid["data"] = all(
        value is None or isinstance(value, bool) or is_finite_number(value) for value in others
    )
    return [key for key, is_valid in valid.items() if not is_valid]


def has_short_texts(given: dict[Any, Any]) -> bool:
    """Return whether messages can quote all texts but the names of classes as they are."""
    return all(map(_is_text, _texts(given)))


def _texts(given: dict[Any, Any]) -> Iterator[str]:
    """Yield all texts but the names of classes."""
    waiting = [value for key, value in given.items() if key != CLASSES] + list(given)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value


def _is_text(value: str) -> bool:
    """Return whether messages can quote a text as it is."""
    return len(value) <= MAX_TEXT and value.isprintable()


def _is_side(value: Any) -> bool:
    return is_whole(value) and 1 <= value <= MAX_SIDE


def _can_resize(preprocessing: dict[Any, Any], data: dict[Any, Any]) -> bool:
    """Return whether images as read can be resized to those that the network takes.

    Sides that are invalid themselves are ignored here.
    """
    mode: Any = preprocessing.get("resize", "auto")
    sides: list[Any] = [data.get("native_size"), preprocessing.get("image_size")]
    if not isinstance(mode, str) or mode not in RESIZE_MODES:
        return False
    try:
        return not all(map(_is_side, sides)) or bool(resolve_resize(mode, *sides))
    except InputError:
        return False


def _is_share(value: Any) -> bool:
    """Return whether a value is a fraction or a number of images."""
    return is_finite_number(value) and value >= 0


def _is_count(value: Any, lowest: int) -> bool:
    return is_whole(value) and lowest <= value <= MAX_STEPS


def _is_per_channel(value: Any, channels: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return len(values) in (1, channels) and all(map(is_finite_number, values))

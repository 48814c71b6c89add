"""Fit weights to a network: names, the classes, and the channels of the images."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mobilenet_lab.checkpoints.imagenet import imagenet_classes
from mobilenet_lab.checkpoints.weight_settings import find_settings
from mobilenet_lab.checkpoints.weights_file import Weights
from mobilenet_lab.models.stages import classifier_parameters
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

PREFIXES = ("module.", "network.", "model.")  # of DataParallel, this project, and other LightningModules
MAX_NAME = 80  # characters of a tensor's name in a message
COUNTER = "num_batches_tracked"  # of BatchNorm; older files lack it, and nothing here reads it
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WORDNET_ID = re.compile(r"n\d{8}")


@dataclass
class Fitted:
    """Weights that fit a network.

    Attributes:
        tensors: By name in the network.
        kept: Names of the network's tensors that keep their initial values.
        skipped: Names in the file of what the network does not have.
        notes: What was converted.
    """

    tensors: dict[str, Tensor]
    kept: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{len(self.tensors)} tensors loaded", *self.notes]
        if self.kept:
            parts.append(f"re-initialized: {_listed(self.kept)}")
        if self.skipped:
            parts.append(f"skipped: {_listed(self.skipped)}")
        return "; ".join(parts)


def fit_weights(weights: Weights, network: nn.Module, classes: Sequence[str] | None) -> Fitted:
    """Fit weights to a network, which stays as it is.

    Args:
        weights: The weights.
        network: The network.
        classes: Names of the network's classes, by label; None if they are the same as those of the weights.

    Raises:
        InputError: A tensor is missing, has another shape than in the network, or numbers of another kind.
    """
    expected = network.state_dict()
    found, others = _without_prefixes(weights.tensors, expected)
    fitted = Fitted({}, skipped=sorted([*(found.keys() - expected.keys()), *others]))
    classifier = _names(network, classifier_parameters(network))
    if not _same_classes(weights.classes, classes) or any(
        key not in found or found[key].shape != expected[key].shape for key in classifier
    ):
        fitted.kept = classifier
    stem = next((name for name, _ in network.named_parameters()), "")
    for key, own in expected.items():
        if key in fitted.kept or (key not in found and key.endswith(COUNTER)):
            continue
        if key not in found:
            raise InputError(
                f"lacks {printable(key)}, which the network has, and has for example "
                f"{printable(next(iter(found))[:MAX_NAME])}; use weights of the same network"
            )
        tensor = found[key]
        if key == stem:
            tensor = _with_channels(tensor, own, fitted)
        if tensor.shape != own.shape:
            settings = find_settings(network, found, fitted.kept)
            raise InputError(
                f"{printable(key)} has shape {tuple(found[key].shape)}, but {tuple(own.shape)} in the network"
                f"; use {settings or 'weights of the same network'}"
            )
        if own.is_floating_point() and tensor.dtype not in FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(
                f"{printable(key)} has numbers of type {kind}; use weights in 16, 32 or 64-bit floating point"
            )
        fitted.tensors[key] = tensor.to(own.dtype)
    return fitted


def _without_prefixes(
    tensors: Mapping[str, Tensor], expected: Iterable[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Remove the prefixes that wrappers of the network have put before the names.

    Returns:
        The tensors of the network, and the names of those outside of it.
    """
    found, names, others = dict(tensors), set(expected), list[str]()
    for _ in PREFIXES:  # a wrapper may be in another one
        prefix = next((p for p in PREFIXES if any(key.startswith(p) for key in found)), None)
        if prefix is None or names & found.keys():
            break
        others += [key for key in found if not key.startswith(prefix)]
        found = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    return found, others


def _names(network: nn.Module, parameters: Iterable[nn.Parameter]) -> list[str]:
    wanted = set(parameters)
    return [name for name, parameter in network.named_parameters() if parameter in wanted]


def _same_classes(theirs: Sequence[str] | None, ours: Sequence[str] | None) -> bool:
    """Return whether the labels mean the same, as far as the names say."""
    if theirs is None or ours is None or list(theirs) == list(ours):
        return True
    # In the order of their WordNet ids, which are the names of ImageNet's folders, its classes are sorted.
    is_imagenet = list(theirs) == imagenet_classes() and len(ours) == len(theirs)
    return is_imagenet and all(map(WORDNET_ID.fullmatch, ours)) and list(ours) == sorted(ours)


def _with_channels(kernel: Tensor, own: Tensor, fitted: Fitted) -> Tensor:
    """Return the kernel of the first convolution for images with 1 instead of 3 channels, or 3 instead of 1.

    Images with three equal channels give the same result as the grayscale image with the other kernel.
    """
    if kernel.ndim != 4 or own.ndim != 4 or kernel.shape[1] == own.shape[1]:
        return kernel
    if (kernel.shape[1], own.shape[1]) == (3, 1):
        fitted.notes.append("the stem's three input channels were summed to one")
        return kernel.sum(dim=1, keepdim=True)
    if (kernel.shape[1], own.shape[1]) == (1, 3):
        fitted.notes.append("the stem's input channel was repeated for three")
        return kernel.repeat(1, 3, 1, 1) / 3
    return kernel


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = [printable(name[:MAX_NAME]) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")

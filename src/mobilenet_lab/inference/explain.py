"""Show where in an image a network finds its answer, by gradients of the answer's logit.

If the network's last feature map is fine enough, the map is the sum over its channels of activation times
gradient, without negative values. With global average pooling and a linear classifier, as in MobileNetV2,
this equals class activation maps (CAM, Zhou et al. 2016, arXiv:1512.04150) and Grad-CAM (Selvaraju et al.
2017, arXiv:1610.02391), up to a factor. For small images the last map has 2 x 2 pixels. An earlier one is
used then, with LayerCAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943), which ignores negative gradients.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilenet_lab.data.resize_modes import center_offset
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.runtime.errors import InputError

CAM_SIDE = 7  # pixels of a last map that is fine enough, as MobileNetV2's for images of 224 pixels
LAYER_SIDE = 12  # pixels of an earlier map


@dataclass(frozen=True)
class Target:
    """The layer whose map is shown.

    Attributes:
        layer: A module of the network.
        is_last: Whether no later module has a map.
    """

    layer: nn.Module
    is_last: bool


class Explainer:
    """Computes maps of the evidence for a class; several networks give the mean of their maps.

    Args:
        ensemble: The networks. Their parameters are frozen.

    Raises:
        InputError: A network has no spatial feature map.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self._device = ensemble.device
        self._members = []
        for (network, preprocessing), data in zip(ensemble.members, ensemble.data, strict=True):
            network.requires_grad_(False)
            side = data["native_size"]
            blank = torch.zeros(1, ensemble.channels, side, side, dtype=torch.uint8, device=self._device)
            target = find_target(network, preprocessing(blank))
            self._members.append((network, preprocessing, target, preprocessing.visible_side(side)))

    def __call__(self, images: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        """Return one map per image.

        Args:
            images: uint8, shape (N, channels, H, W), as `Predictor.prepare` returns them.
            labels: The class to explain, per image.

        Returns:
            float32 in [0, 1], shape (N, H, W); zero where the networks do not look, and everywhere if
            nothing in the image speaks for the class.
        """
        batch = torch.from_numpy(images).to(self._device)
        wanted = torch.as_tensor(labels, device=self._device)
        maps = []
        for network, preprocessing, target, visible in self._members:
            coarse = activation_map(network, target, preprocessing(batch), wanted)
            fine = F.interpolate(coarse[:, None], (visible, visible), mode="bilinear", align_corners=False)
            fine = _centered(fine, images.shape[2])
            maps.append(fine[:, 0] / fine.amax(dim=(1, 2, 3)).clamp(min=1e-12)[:, None, None])
        mean: np.ndarray = torch.stack(maps).mean(dim=0).cpu().numpy()
        return mean


def _centered(maps: Tensor, side: int) -> Tensor:
    """Crop squares or surround them with zeros, so that they have a side."""
    visible = maps.shape[2]
    before = center_offset(side, visible) if side > visible else -((visible - side) // 2)
    after = side - visible - before
    return F.pad(maps, (before, after, before, after))


def activation_map(network: nn.Module, target: Target, images: Tensor, labels: Tensor) -> Tensor:
    """Return the evidence for a class at every position of a layer.

    Args:
        network: With frozen parameters, so that only the layers after the target are differentiated.
        target: One of its layers.
        images: Shape (N, C, H, W), normalized.
        labels: The class per image, shape (N,).

    Returns:
        float32, >= 0, shape (N, h, w).
    """
    with torch.enable_grad(), _captured(target.layer) as captured:
        logits = network(images)
        (activations,) = captured
        (gradients,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), activations)
    if not target.is_last:
        gradients = gradients.relu()
    return (gradients * activations.detach()).sum(dim=1).float().relu()


def find_target(network: nn.Module, images: Tensor) -> Target:
    """Return the last layer, or the last one with at least `LAYER_SIDE` pixels per side if its map is coarse.

    Args:
        network: The network.
        images: A batch, shape (1, C, H, W), normalized.

    Raises:
        InputError: No module has a map of more than one pixel.
    """
    found: list[tuple[int, nn.Module]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            found.append((min(output.shape[2:]), module))

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise InputError("explain=true: the network has no spatial feature map; leave out explain")
    side, layer = found[-1]
    if side >= CAM_SIDE:
        return Target(layer, is_last=True)
    enough = min(LAYER_SIDE, max(side for side, _ in found))
    layer = [module for side, module in found if side >= enough][-1]
    return Target(layer, is_last=layer is found[-1][1])


@contextmanager
def _captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Let gradients begin at the result of a layer, which the list receives."""
    captured: list[Tensor] = []

    def begin(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        captured.append(output.detach().requires_grad_())
        return captured[0].clone()  # the next layer may work in place

    handle = layer.register_forward_hook(begin)
    try:
        yield captured
    finally:
        handle.remove()

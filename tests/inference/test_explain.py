from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import digit_images
from PIL import Image
from torch import Tensor, nn

from mobilenet_lab import MobileNetV2, Predictor
from mobilenet_lab.inference.explain import CAM_SIDE, LAYER_SIDE, Target, activation_map, find_target
from mobilenet_lab.models.fuse import fuse_conv_bn
from mobilenet_lab.runtime.errors import InputError


def network_for(side: int, **arguments: int) -> MobileNetV2:
    torch.manual_seed(0)
    network = MobileNetV2(filters=1, num_classes=3, image_size=side, stem_stride=None, **arguments).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training, so that maps are not flat
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.requires_grad_(False)


@pytest.mark.parametrize("fused", [False, True])
def test_map_of_the_last_layer_equals_cam_and_grad_cam(fused: bool) -> None:
    """CAM by the weights of the classifier, and Grad-CAM by autograd through the whole network."""
    network: nn.Module = network_for(224)
    images = torch.randn(2, 1, 224, 224)
    labels = network(images).argmax(dim=1)
    features = network.features(images)[-1]
    assert features.shape[2:] == (7, 7)
    weights = network.classifier[-1].weight[labels]  # (2, 1280)
    cam = torch.einsum("nk,nkhw->nhw", weights, features).relu()

    with torch.enable_grad():
        leaf = features.detach().requires_grad_()
        logits = network.classifier(leaf.mean(dim=(2, 3)))
        logits.gather(1, labels[:, None]).sum().backward()
    assert leaf.grad is not None
    grad_cam = (leaf.grad.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()

    if fused:
        network = fuse_conv_bn(network)
    target = find_target(network, images[:1])
    assert target.is_last
    found = activation_map(network, target, images, labels)
    assert found.max() > 0
    torch.testing.assert_close(found * 49, cam, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found, grad_cam, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("side", "expected"), [(28, 14), (56, 14), (96, 12), (224, 7)])
def test_map_has_enough_pixels_for_images_of_any_size(side: int, expected: int) -> None:
    network = network_for(side)
    images = torch.randn(1, 1, side, side)
    target = find_target(network, images)
    found = activation_map(network, target, images, torch.tensor([1]))
    assert found.shape == (1, expected, expected)
    assert expected >= (CAM_SIDE if target.is_last else LAYER_SIDE)
    assert not any(module._forward_hooks for module in network.modules())


def test_map_of_a_linear_layer_on_pixels_is_the_product_of_weights_and_pixels() -> None:
    """The network is one linear layer: positive gradients times activations, by hand."""
    network = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(4, 2, bias=False)).requires_grad_(False)
    network[2].weight.copy_(torch.tensor([[1.0, -2.0, 3.0, 0.5], [0.0, 0.0, 0.0, -1.0]]))
    images = torch.tensor([[[[1.0, 2.0], [-3.0, 4.0]]]])
    found = activation_map(network, Target(network[0], is_last=False), images, torch.tensor([0]))
    assert found.tolist() == [[[1.0, 0.0], [0.0, 2.0]]]


class Flat(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_network_without_feature_maps_is_refused() -> None:
    with pytest.raises(InputError, match="explain=true: the network has no spatial feature map"):
        find_target(nn.Sequential(Flat(), nn.Linear(64, 3)), torch.zeros(1, 1, 8, 8))


def test_several_networks_give_the_mean_of_their_maps(tiny_run: Path) -> None:
    files = [tiny_run / "checkpoints/best.ckpt", tiny_run / "checkpoints/last.ckpt"]
    image = Image.fromarray(digit_images(1, seed=3)[0][0])
    (one,), (other,) = (Predictor(file, preprocess="none").explain(image) for file in files)
    together = Predictor(files, preprocess="none")
    label = together.classes.index(str(together(image)[0].class_name))
    pixels = together.prepare(image).pixels[None]
    separate = [Predictor(file, preprocess="none").explainer()(pixels, [label])[0] for file in files]
    (mean,) = together.explain(image)
    assert one is not None
    assert other is not None
    assert mean is not None
    np.testing.assert_allclose(mean, np.mean(separate, axis=0), atol=1e-5)


def test_image_without_a_class_has_no_map(tiny_run: Path) -> None:
    images = digit_images(2, seed=3)[0]
    predictor = Predictor(tiny_run)
    one, blank, other = predictor.explain([images[0], np.zeros((30, 30), np.uint8), images[1]])
    assert blank is None
    for image, found in zip(images, (one, other), strict=True):
        assert found is not None
        assert found.min() >= 0
        assert found.max() <= 1
        (alone,) = predictor.explain(image)
        assert alone is not None
        np.testing.assert_allclose(found, alone, atol=1e-3)

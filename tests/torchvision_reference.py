"""torchvision's evaluation of MobileNetV2, written down again from its documentation and the paper."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The paper's Table 2 as printed: t, c, n, s
PAPER = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def functional_forward(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Compute the network in evaluation mode, from torchvision's parameter names."""

    def bn(x: Tensor, name: str) -> Tensor:
        w = {k: weights[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
        return F.batch_norm(x, w["running_mean"], w["running_var"], w["weight"], w["bias"])

    def conv_bn_relu(x: Tensor, name: str, stride: int, groups: int = 1) -> Tensor:
        kernel = weights[f"{name}.0.weight"]
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, 1, groups)
        return bn(x, f"{name}.1").clamp(0, 6)

    x = conv_bn_relu(images, "features.0", 2)
    index = 1
    for t, _, n, s in PAPER:
        for i in range(n):
            name, stride = f"features.{index}.conv", s if i == 0 else 1
            y = x if t == 1 else conv_bn_relu(x, f"{name}.0", 1)
            depthwise = 0 if t == 1 else 1
            y = conv_bn_relu(y, f"{name}.{depthwise}", stride, y.shape[1])
            y = bn(F.conv2d(y, weights[f"{name}.{depthwise + 1}.weight"]), f"{name}.{depthwise + 2}")
            x = x + y if y.shape == x.shape else y
            index += 1
    x = conv_bn_relu(x, "features.18", 1).mean((2, 3))
    return F.linear(x, weights["classifier.1.weight"], weights["classifier.1.bias"])


def evaluation_input(image: Image.Image) -> Tensor:
    """Return Resize(256), CenterCrop(224), ToTensor and Normalize of an image, shape (1, 3, 224, 224)."""
    image = image.convert("RGB")
    width, height = image.size
    shorter = min(width, height)
    image = image.resize((int(256 * width / shorter), int(256 * height / shorter)), Image.Resampling.BILINEAR)
    left, top = (round((side - 224) / 2) for side in image.size)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    normalized = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(normalized.transpose(2, 0, 1).copy())[None]


def random_weights(width: int = 8, channels: int = 3, num_classes: int = 1000) -> dict[str, Tensor]:
    """Return random weights with torchvision's names and shapes; channels are multiples of `width`."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}

    def conv_bn(conv: str, norm: str, *shape: int) -> int:
        weights[f"{conv}.weight"] = torch.randn(shape, generator=generator) / 8
        for name in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{norm}.{name}"] = torch.rand(shape[0], generator=generator) + 0.5
        weights[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        return shape[0]

    inputs, index = conv_bn("features.0.0", "features.0.1", 4 * width, channels, 3, 3), 1
    for t, c, n, _ in PAPER:
        for _ in range(n):
            name, hidden, layer = f"features.{index}.conv", inputs * t, 0
            if t > 1:
                conv_bn(f"{name}.0.0", f"{name}.0.1", hidden, inputs, 1, 1)
                layer = 1
            conv_bn(f"{name}.{layer}.0", f"{name}.{layer}.1", hidden, 1, 3, 3)
            inputs = conv_bn(f"{name}.{layer + 1}", f"{name}.{layer + 2}", c * width // 8, hidden, 1, 1)
            index += 1
    inputs = conv_bn("features.18.0", "features.18.1", 1280, inputs, 1, 1)
    weights["classifier.1.weight"] = torch.randn(num_classes, inputs, generator=generator)
    weights["classifier.1.bias"] = torch.randn(num_classes, generator=generator)
    return weights

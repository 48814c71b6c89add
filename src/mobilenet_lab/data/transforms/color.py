"""Changes of color and contrast, each with a strength per image.

Images are floats in [0, 1] of shape (N, C, H, W), with C = 1 or 3. Strengths have shape (N,). The results are
those of Pillow's `ImageEnhance` and `ImageOps`, but for its rounding to bytes. Nothing waits for a GPU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mobilenet_lab.data.transforms.preprocessing import LUMA

WHITE = 255


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply images by a factor: 0 is black, 1 changes nothing."""
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move pixels away from the mean luma of their image: 0 is a gray image, 1 changes nothing."""
    return _blend(to_luma(images).mean(dim=(2, 3), keepdim=True), images, factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move pixels away from their luma: 0 is a grayscale image, 1 changes nothing."""
    return images if images.shape[1] == 1 else _blend(to_luma(images), images, factor)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Move pixels away from a smoothed image: 0 is smooth, 1 changes nothing. The border stays as it is."""
    if min(images.shape[2:]) < 3:
        return images
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    channels = images.shape[1]
    kernel = (kernel / kernel.sum()).expand(channels, 1, 3, 3)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels)
    return _blend(smooth, images, factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of images by a fraction of the color circle, in [-0.5, 0.5]; 0 changes nothing."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    value, low = images.amax(dim=1), images.amin(dim=1)  # (N, H, W)
    chroma = value - low
    divisor = chroma.clamp(min=1e-12)
    hue = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )  # in sixths of the circle
    hue = hue + 6 * shift[:, None, None]
    # Each channel is the value less the chroma times a trapezoid of the hue.
    offsets = torch.arange(5, 0, -2, device=images.device).view(1, 3, 1, 1)  # 5, 3, 1
    k = (offsets + hue[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of each pixel."""
    step = _per_image(2.0 ** (8 - bits))
    return ((images * WHITE).round() / step).floor() * step / WHITE


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert pixels from a threshold on."""
    return torch.where(images < _per_image(threshold), images, 1 - images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to [0, 1]; channels of a single value stay as they are."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-12), images)


def equalize(images: Tensor) -> Tensor:
    """Make all values of each channel of each image about equally frequent."""
    count, channels = images.shape[:2]
    values = (images * WHITE).round().long().reshape(count * channels, -1)  # (N * C, H * W)
    histograms = torch.zeros(count * channels, WHITE + 1, dtype=torch.int64, device=images.device)
    histograms.scatter_add_(1, values, torch.ones_like(values))
    # Pillow leaves the pixels of the highest value out of the step.
    highest = histograms.gather(1, values.amax(dim=1, keepdim=True))
    step = (values.shape[1] - highest) // WHITE  # (N * C, 1)
    before = histograms.cumsum(dim=1) - histograms
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=WHITE)
    table = torch.where(step > 0, table, torch.arange(WHITE + 1, device=images.device))
    return (table.gather(1, values).view(images.shape) / WHITE).to(images.dtype)


def to_luma(images: Tensor) -> Tensor:
    """Return the luma of images, shape (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _blend(plain: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """Return `plain` for factor 0 and `images` for factor 1."""
    return plain.lerp(images, _per_image(factor)).clamp_(0, 1)


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)

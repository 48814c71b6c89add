"""Batch transforms of photographs, against Pillow and the standard library."""

import colorsys
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Generator, Tensor

from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.transforms import color
from mobilenet_lab.data.transforms.augmentation import Compose, RandomErasing, RandomHorizontalFlip
from mobilenet_lab.data.transforms.color_jitter import ColorJitter
from mobilenet_lab.data.transforms.random_resized_crop import (
    RandomResizedCrop,
    _resize_by_matrices,
    _resize_one_by_one,
)
from mobilenet_lab.data.transforms.trivial_augment import TrivialAugmentWide, _bits, _warp
from mobilenet_lab.runtime.errors import InputError

CROP = RandomResizedCrop(24, (0.08, 1.0), (3 / 4, 4 / 3))
TRANSFORMS = {
    "crop": CROP,
    "jitter": ColorJitter(0.4, 0.4, 0.4, 0.1),
    "trivial": TrivialAugmentWide(),
    "noise": RandomErasing(1.0, (0.05, 0.2), 3.0, fill="noise"),
    "mean": RandomErasing(1.0, (0.05, 0.2), 3.0, fill="mean"),
    "all": Compose(crop=CROP, flip=RandomHorizontalFlip(), change=TrivialAugmentWide()),
}


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def photographs(count: int, channels: int = 3, side: int = 32) -> tuple[Tensor, list[Image.Image]]:
    """Return smooth colorful images with some noise, as floats and as Pillow's images."""
    random = np.random.default_rng(count)
    images = []
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
        pixels = (smooth + random.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)
        images.append(Image.fromarray(pixels) if channels == 3 else Image.fromarray(pixels[..., 0]))
    arrays = np.stack([np.asarray(image).reshape(side, side, channels) for image in images])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255, images


def as_tensor(images: list[Image.Image]) -> Tensor:
    arrays = np.stack([np.atleast_3d(np.asarray(image)) for image in images])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255


def assert_equal_to_bytes(found: Tensor, expected: list[Image.Image], tolerance: float = 1.0) -> None:
    """Compare with Pillow's images, whose bytes are rounded or cut off."""
    torch.testing.assert_close(found, as_tensor(expected), atol=(tolerance + 1e-3) / 255, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_batch_transform_is_a_function_of_the_seed(name: str, channels: int) -> None:
    transform, (images, _) = TRANSFORMS[name], photographs(64, channels)
    before = images.clone()
    changed = transform(images, generator=generator(1))
    side = 24 if name in ("crop", "all") else 32
    assert (changed.shape, changed.dtype) == ((64, channels, side, side), torch.float32)
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-5
    assert torch.equal(changed, transform(images, generator=generator(1)))
    assert not torch.equal(changed, transform(images, generator=generator(2)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("resize", [_resize_one_by_one, _resize_by_matrices])
@pytest.mark.parametrize("size", [7, 24])
def test_resized_crop_equals_pillow(resize: Callable[..., Tensor], size: int) -> None:
    places = [(0, 0, 32, 32), (3, 5, 20, 27), (10, 2, 6, 9), (31, 31, 1, 1)]  # top, left, height, width
    images, originals = photographs(len(places))
    found = resize(images, torch.tensor(places).float().unbind(1), size)
    expected = [
        image.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.BILINEAR)
        for image, (top, left, height, width) in zip(originals, places, strict=True)
    ]
    assert_equal_to_bytes(found, expected)


def test_boxes_of_crops_follow_the_laws_of_torchvision() -> None:
    crop = RandomResizedCrop(24, (0.2, 0.6), (3 / 4, 4 / 3))
    top, left, height, width = (side.double() for side in crop._boxes(20_000, 400, 400, generator()))
    area, logarithm = height * width / 400**2, (width / height).log()
    quantiles = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)
    torch.testing.assert_close(area.quantile(quantiles), 0.2 + 0.4 * quantiles, atol=0.01, rtol=0)
    log_range = math.log(4 / 3)
    torch.testing.assert_close(
        logarithm.quantile(quantiles), (2 * quantiles - 1) * log_range, atol=0.02, rtol=0
    )
    for start, length in ((top, height), (left, width)):
        assert start.min() == 0
        assert ((start + length) <= 400).all()
        share = (start + 0.5) / (400 - length + 1)  # uniform
        torch.testing.assert_close(share.quantile(quantiles), quantiles, atol=0.015, rtol=0)


def test_box_that_never_fits_is_the_largest_centered_one() -> None:
    crop = RandomResizedCrop(8, (1.0, 1.0), (2.0, 2.0))  # twice as wide as high, with the area of the image
    top, left, height, width = crop._boxes(3, 40, 40, generator())
    assert [side.tolist() for side in (top, left, height, width)] == [
        [10.0] * 3,
        [0.0] * 3,
        [20.0] * 3,
        [40.0] * 3,
    ]


ENHANCEMENTS: dict[
    str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Image.Image], ImageEnhance._Enhance]]
]
ENHANCEMENTS = {
    "brightness": (color.adjust_brightness, ImageEnhance.Brightness),
    "contrast": (color.adjust_contrast, ImageEnhance.Contrast),
    "saturation": (color.adjust_saturation, ImageEnhance.Color),
    "sharpness": (color.adjust_sharpness, ImageEnhance.Sharpness),
}


@pytest.mark.parametrize("name", ENHANCEMENTS)
def test_enhancement_equals_pillow(name: str) -> None:
    images, originals = photographs(5)
    factors = [0.0, 0.4, 1.0, 1.3, 1.99]
    adjust, enhance = ENHANCEMENTS[name]
    found = adjust(images, torch.tensor(factors))
    expected = [enhance(image).enhance(factor) for image, factor in zip(originals, factors, strict=True)]
    assert_equal_to_bytes(found, expected, tolerance=2)


def test_jitter_draws_factors_as_torchvision() -> None:
    # A gray pixel times the factor is the result. torchvision: uniform in [max(0, 1 - x), 1 + x].
    gray = torch.full((20_000, 1, 1, 1), 0.25)
    for strength, low, high in ((0.4, 0.6, 1.4), (1.5, 0.0, 2.5)):
        factors = ColorJitter(brightness=strength)(gray, generator()).flatten() / 0.25
        quantiles = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
        expected = low + quantiles * (high - low)
        torch.testing.assert_close(factors.quantile(quantiles), expected, atol=0.03, rtol=0)


def test_jitter_turns_hue_uniformly() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(5_000, -1, -1, -1)
    turned = ColorJitter(hue=0.1)(red, generator()).view(-1, 3).tolist()
    turns = torch.tensor([(colorsys.rgb_to_hsv(*pixel)[0] + 0.5) % 1 - 0.5 for pixel in turned])
    quantiles = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    torch.testing.assert_close(turns.quantile(quantiles), 0.2 * quantiles - 0.1, atol=0.006, rtol=0)


def test_jitter_draws_the_order_of_changes_per_batch() -> None:
    jitter, orders = ColorJitter(0.1, 0.1, 0.1, 0.1), set()
    seen: list[int] = []

    def record(i: int) -> Callable[[Tensor, Tensor], Tensor]:
        def change(images: Tensor, factor: Tensor) -> Tensor:
            seen.append(i)
            return images

        return change

    jitter._changes = [(record(i), 0.9, 1.1) for i in range(4)]
    for seed in range(400):
        seen.clear()
        jitter(torch.zeros(1, 3, 1, 1), generator(seed))
        orders.add(tuple(seen))
    assert len(orders) == 24  # all permutations; each is missing from 400 draws with probability 4e-8


@pytest.mark.parametrize("arguments", [{"hue": 0.6}, {"contrast": -0.1}])
def test_jitter_refuses_strengths_out_of_range(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be"):
        ColorJitter(**arguments)


def test_hue_equals_the_standard_library() -> None:
    images, _ = photographs(4, side=8)
    shifts = [-0.5, -0.1, 0.0, 0.3]
    found = color.adjust_hue(images, torch.tensor(shifts)).permute(0, 2, 3, 1).numpy()
    for image, shift, turned in zip(images.permute(0, 2, 3, 1).tolist(), shifts, found, strict=True):
        for row, found_row in zip(image, turned, strict=True):
            for pixel, found_pixel in zip(row, found_row, strict=True):
                hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
                expected = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
                np.testing.assert_allclose(found_pixel, expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_operations_on_bytes_equal_pillow(channels: int) -> None:
    images, originals = photographs(6, channels)
    assert_equal_to_bytes(color.equalize(images), [ImageOps.equalize(image) for image in originals], 0)
    assert_equal_to_bytes(color.autocontrast(images), [ImageOps.autocontrast(image) for image in originals])
    bits = [8, 7, 5, 4, 3, 2]
    expected = [ImageOps.posterize(image, bit) for image, bit in zip(originals, bits, strict=True)]
    assert_equal_to_bytes(color.posterize(images, torch.tensor(bits)), expected, 0)
    thresholds = [0, 17, 100, 128, 200, 255]
    expected = [ImageOps.solarize(image, at) for image, at in zip(originals, thresholds, strict=True)]
    assert_equal_to_bytes(color.solarize(images, torch.tensor(thresholds) / 255), expected, 0)


def test_flat_images_stay_as_they_are() -> None:
    flat = torch.full((2, 3, 8, 8), 77 / 255)
    for change in (color.equalize, color.autocontrast):
        torch.testing.assert_close(change(flat), flat)


def transform(image: Image.Image, *matrix: float) -> Image.Image:
    """Map (x, y) of the result, counted from the center, to the source by a row-major 2 x 3 matrix."""
    a, b, c, d, e, f = matrix
    center = image.width / 2
    c, f = c + center - (a + b) * center, f + center - (d + e) * center
    return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


@pytest.mark.parametrize(
    ("arguments", "matrix"),
    [
        ({"shear_x": 0.3}, (1, 0.3, 0, 0, 1, 0)),
        ({"shear_y": -0.5}, (1, 0, 0, -0.5, 1, 0)),
        ({"shift_x": 0.125}, (1, 0, -4, 0, 1, 0)),
        ({"shift_y": -0.25}, (1, 0, 0, 0, 1, 8)),
    ],
)
def test_warp_equals_pillow(arguments: dict[str, float], matrix: tuple[float, ...]) -> None:
    images, originals = photographs(3)
    found = _warp(images, **{key: torch.tensor([value] * 3) for key, value in arguments.items()})
    expected = as_tensor([transform(image, *matrix) for image in originals])
    inside = expected.amin(dim=1) > 0  # at the edge, Pillow does not blend with black
    inside = inside & (found.amin(dim=1) > 0)
    difference = (found - expected).abs().amax(dim=1)[inside]
    assert inside.float().mean() > 0.5
    assert difference.quantile(0.97) <= 2 / 255


def test_rotation_equals_pillow() -> None:
    images, originals = photographs(3)
    found = _warp(images, angle=torch.tensor([math.radians(35)] * 3))
    expected = as_tensor([image.rotate(35, Image.Resampling.BILINEAR) for image in originals])
    difference = (found - expected).abs().amax(dim=1)[:, 10:22, 10:22]
    assert difference.max() <= 2 / 255


def test_trivial_augment_draws_each_change_and_bin_equally_often() -> None:
    changes = TrivialAugmentWide()._changes
    counts = np.zeros(len(changes), int)
    seen: list[float] = []
    recorder = TrivialAugmentWide()

    def record(i: int) -> Callable[[Tensor, Tensor], Tensor]:
        def change(images: Tensor, strength: Tensor) -> Tensor:
            counts[i] += len(images)
            seen.extend(strength.abs().tolist())
            return images

        return change

    recorder._changes = [record(i) for i in range(len(changes))]
    recorder(torch.zeros(28_000, 1, 1, 1), generator=generator())
    assert len(counts) == 14
    np.testing.assert_allclose(counts, 2000, atol=200)
    values, frequencies = np.unique(np.round(np.array(seen) * 30, 4), return_counts=True)
    assert values.tolist() == list(range(31))
    np.testing.assert_allclose(frequencies, 28_000 / 31, rtol=0.15)


ENHANCED = {
    6: ImageEnhance.Brightness,
    7: ImageEnhance.Color,
    8: ImageEnhance.Contrast,
    9: ImageEnhance.Sharpness,
}
S = 0.6  # bin 18 of 30
TABLE: dict[int, Callable[[Image.Image, float], Image.Image]] = {
    0: lambda image, s: image,
    1: lambda image, s: transform(image, 1, 0.99 * s, 0, 0, 1, 0),
    2: lambda image, s: transform(image, 1, 0, 0, 0.99 * s, 1, 0),
    3: lambda image, s: transform(image, 1, 0, -round(s * 10), 0, 1, 0),
    4: lambda image, s: transform(image, 1, 0, 0, 0, 1, -round(s * 10)),
    5: lambda image, s: image.rotate(135 * s, Image.Resampling.BILINEAR),
    10: lambda image, s: ImageOps.posterize(image, 8 - round(6 * abs(s))),
    11: lambda image, s: ImageOps.solarize(image, round(255 * (1 - abs(s)))),
    12: lambda image, s: ImageOps.autocontrast(image),
    13: lambda image, s: ImageOps.equalize(image),
}
TABLE |= {
    i: (lambda image, s, enhance=enhance: enhance(image).enhance(1 + 0.99 * s))  # type: ignore[misc]
    for i, enhance in ENHANCED.items()
}


@pytest.mark.parametrize("strength", [S, -S])
@pytest.mark.parametrize("number", range(14))
def test_change_of_trivial_augment_equals_pillow(number: int, strength: float) -> None:
    """Table 1 of arXiv:2103.10158, in torchvision's order: the changes and their largest strengths."""
    images, originals = photographs(3)
    change = TrivialAugmentWide(translate=10 / 32)._changes[number]
    found = change(images, torch.full((3,), strength))
    expected = as_tensor([TABLE[number](image, strength) for image in originals])
    difference = (found - expected).abs().amax(dim=1)
    if number in range(1, 6):  # at the edge, Pillow does not blend with black
        difference = difference[(found.amin(dim=1) > 0) & (expected.amin(dim=1) > 0)]
        assert len(difference) > 0.2 * 3 * 32**2
        assert difference.quantile(0.95) <= 2 / 255
    else:
        assert difference.max() <= 2.01 / 255


def test_trivial_augment_puts_changed_images_back_in_their_places() -> None:
    augment = TrivialAugmentWide()
    augment._changes = [lambda images, strength, i=i: images + i for i in range(14)]  # type: ignore[misc]
    images = torch.arange(200.0).view(-1, 1, 1, 1) * 100
    added = (augment(images, generator()) - images).flatten()
    assert set(added.tolist()) == set(range(14))


def test_strongest_posterization_keeps_two_bits() -> None:
    strengths = torch.arange(31) / 30
    bits = _bits(strengths)
    # torchvision: 8 - round(bin / (30 / 6))
    assert bits.tolist() == [8 - round(i / 5) for i in range(31)]
    assert bits[-1] == 2


def test_crop_gets_images_as_read(tiny_idx: Path) -> None:
    """Through the data module, a crop sees the larger image; other transforms see the network's input."""
    shapes = []

    class Spy:
        def __init__(self, takes_native_size: bool) -> None:
            self.takes_native_size = takes_native_size

        def __call__(self, images: Tensor, generator: Generator) -> Tensor:
            shapes.append(images.shape[2])
            return images

    for spy in (Spy(True), Spy(False), Compose(a=Spy(True), b=Spy(False))):
        module = ImageDataModule("idx", str(tiny_idx), augmentation=spy, image_size=56)
        module.prepare_data()
        module.setup()
        module.trainer = type("Trainer", (), {"training": True})()  # type: ignore[assignment]
        images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
        batch = {"images": images, "labels": torch.zeros(2, dtype=torch.int64), "seed": 1}
        prepared, _ = module.on_after_batch_transfer(batch, 0)  # type: ignore[arg-type]
        assert prepared.shape[2:] == (56, 56)
    assert shapes == [28, 56, 28, 28]

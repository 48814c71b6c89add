"""The path of a photograph, from the file to the network's input, as torchvision defines it for ImageNet."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.data.datasets.image_folder import image_folder
from mobilenet_lab.data.images import MAX_PIXELS, load_image, resize_to_square
from mobilenet_lab.data.resize_modes import choose_resize, crop_center, resolve_resize, visible_side
from mobilenet_lab.data.transforms.preprocessing import Preprocessing
from mobilenet_lab.runtime.errors import InputError

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIZES = [(500, 375), (375, 500), (257, 300), (256, 256), (90, 61), (1001, 334), (300, 299)]


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return smooth colors with noise, so that neighboring pixels differ."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(width).integers(0, 60, (height, width, 3))
    smooth = np.stack([rows * 190 // height, columns * 190 // width, (rows + columns) % 190], axis=2)
    return Image.fromarray((smooth + noise).astype(np.uint8)).convert(mode)


def resize_and_center_crop(image: Image.Image, resize: int, crop: int) -> np.ndarray:
    """Return torchvision's `Resize(resize)` and `CenterCrop(crop)`, written down from its formulas."""
    width, height = image.size
    if width <= height:
        size = (resize, int(resize * height / width))
    else:
        size = (int(resize * width / height), resize)
    pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    top, left = (round((length - crop) / 2.0) for length in pixels.shape[:2])
    return pixels[top : top + crop, left : left + crop]


@pytest.mark.parametrize("size", SIZES)
def test_reading_equals_resize_and_center_crop(size: tuple[int, int]) -> None:
    image = photograph(*size)
    for side in (256, 224, 63):
        expected = resize_and_center_crop(image, side, side)
        assert np.array_equal(resize_to_square(image, side, 3, "crop").transpose(1, 2, 0), expected)


@pytest.mark.parametrize("size", SIZES)
def test_evaluation_of_imagenet_equals_resize_256_and_center_crop_224(size: tuple[int, int]) -> None:
    image = photograph(*size)
    read = torch.from_numpy(resize_to_square(image, 256, 3, "crop"))[None]
    found = Preprocessing(224, 3, MEAN, STD, resize="crop")(read)
    pixels = torch.from_numpy(resize_and_center_crop(image, 256, 224).copy()).permute(2, 0, 1)[None]
    expected = (pixels / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_extremely_long_image_needs_little_memory_and_keeps_its_center() -> None:
    image = photograph(20_000, 8)
    assert MAX_PIXELS < 256 * (256 * 20_000 // 8)
    expected = resize_to_square(image.crop((9_900, 0, 10_100, 8)), 256, 3, "crop")
    found = resize_to_square(image, 256, 3, "crop")
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("side", "size"), [(28, 20), (33, 20), (9, 8)])
def test_crop_takes_the_center(side: int, size: int) -> None:
    pixels = torch.randint(0, 256, (2, 1, side, side), dtype=torch.uint8)
    cropped = Preprocessing(size, 1, 0.0, 1 / 255, resize="crop")(pixels)
    assert np.array_equal(cropped.round().numpy(), crop_center(pixels.numpy(), size))
    start = round((side - size) / 2.0)
    expected = pixels[:, :, start : start + size, start : start + size]
    torch.testing.assert_close(cropped, expected.float(), atol=1e-3, rtol=0)


def test_too_small_images_cannot_be_cropped() -> None:
    with pytest.raises(InputError, match=r"data\.image_size=96: images of 64 pixels cannot be cropped to it"):
        Preprocessing(96, 3, 0.5, 0.5, "crop")(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_auto_crops_photographs_that_are_read_a_little_larger_and_never_pads_them() -> None:
    assert choose_resize("auto", "crop", 256, 224) == "crop"
    assert choose_resize("auto", "crop", 281, 224) == choose_resize("auto", "crop", 56, 64) == "scale"
    assert choose_resize("auto", "pad", 256, 224) == choose_resize("auto", "crop", 96, 96) == "auto"
    assert choose_resize("scale", "crop", 256, 224) == "scale"
    assert [resolve_resize("auto", 28, size) for size in (24, 35, 36)] == ["scale", "pad", "scale"]
    assert [visible_side(mode, 256, 224) for mode in ("crop", "scale", "auto")] == [224, 256, 256]


def oriented(image: Image.Image) -> bytes:
    """Return a JPEG whose pixels are stored turned, with the tag that turns them back."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=98, subsampling=0, exif=exif)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def transparent(image: Image.Image) -> bytes:
    """Return a PNG in which the left third is transparent, with other colors there."""
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, image.width // 3, image.height))
    image = image.copy()
    image.putalpha(alpha)
    return encoded(image, "PNG")


def sixteen_bits(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one photograph per kind of file, in two classes."""
    root = tmp_path_factory.mktemp("photos")
    image = photograph(300, 200)
    files = {
        "a/exif.jpg": oriented(image),
        "a/cmyk.jpg": encoded(image.convert("CMYK"), "JPEG", quality=98, subsampling=0),
        "b/alpha.png": transparent(image),
        "b/deep.png": sixteen_bits(image),
        "b/plain.png": encoded(image, "PNG"),
    }
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="module")
def datamodule(photos: Path) -> ImageDataModule:
    module = ImageDataModule(
        source=image_folder(str(photos), 72, 3),
        channels=3,
        image_size=64,
        mean=MEAN,
        std=STD,
        val_split=0,
        test_split=0,
    )
    module.prepare_data()
    module.setup()
    return module


def test_every_kind_of_file_takes_the_whole_path(datamodule: ImageDataModule, photos: Path) -> None:
    """The content is that of the plain file, upright and opaque, within the losses of its format."""
    description = datamodule.describe()
    assert description["preprocessing"]["resize"] == "crop"
    assert (description["data"]["native_size"], description["data"]["fit"]) == (72, "crop")
    image = photograph(300, 200)
    plain = resize_and_center_crop(image, 72, 64).astype(int)
    on_black = image.copy()
    on_black.paste("black", (0, 0, 100, 200))  # behind a mostly bright image
    gray = np.asarray(image.convert("L").convert("RGB"))
    expected = {
        "exif": (plain, 4),
        "cmyk": (plain, 4),
        "alpha": (resize_and_center_crop(on_black, 72, 64).astype(int), 0),
        "deep": (resize_and_center_crop(Image.fromarray(gray), 72, 64).astype(int), 1),
        "plain": (plain, 0),
    }
    dataset = datamodule.subsets["train"].dataset
    images, _ = dataset.read(np.arange(5))
    prepared = datamodule.preprocessing(images)
    shown = prepared * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    for name, pixels in zip(dataset.files, (shown * 255).round().int().numpy(), strict=True):  # type: ignore[attr-defined]
        wanted, tolerance = expected[Path(name).stem]
        differences = np.abs(pixels.transpose(1, 2, 0) - wanted)
        assert (differences.mean() if tolerance > 1 else differences.max()) <= tolerance, name
        predicted = resize_to_square(load_image(photos / name), 72, 3, "crop")
        assert np.array_equal(crop_center(predicted, 64), pixels)

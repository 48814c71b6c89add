"""The decoder simplejpeg against Pillow, on files of every kind."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenet_lab.data import fast_jpeg, square_reader
from mobilenet_lab.data.images import load_image, reduction
from mobilenet_lab.data.square_reader import SquareReader
from mobilenet_lab.runtime.errors import InputError

pytest.importorskip("simplejpeg")


def photo(width: int, height: int) -> Image.Image:
    """Return a colorful image with smooth areas, edges and some noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 30, (height, width))
    planes = [x * 220 // width, y * 220 // height, np.where((x // 40 + y // 40) % 2, 210, 20)]
    return Image.fromarray(np.stack([plane + noise for plane in planes], axis=2).astype(np.uint8))


def square(path: Path, decoder: str, size: int = 64, channels: int = 3, fit: str = "crop") -> np.ndarray:
    return SquareReader(size, channels, fit, decoder)(path, path.name).astype(int)


def differences(path: Path, **settings: int | str) -> np.ndarray:
    return np.abs(square(path, "simplejpeg", **settings) - square(path, "pillow", **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size", [(200, 150), (150, 201), (64, 64), (70, 64), (40, 90), (64, 200), (601, 403), (1100, 900)]
)
def test_pixels_are_those_of_pillow_except_for_rounding(tmp_path: Path, size: tuple[int, int]) -> None:
    photo(*size).save(tmp_path / "x.jpg", quality=90)
    found = differences(tmp_path / "x.jpg")
    assert found.max() <= 1
    assert found.mean() < 0.02
    assert not differences(tmp_path / "x.jpg", fit="pad").any()
    assert differences(tmp_path / "x.jpg", fit="stretch").max() <= 1
    assert not differences(tmp_path / "x.jpg", channels=1).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo(400, 300).save(tmp_path / "x.jpg", quality=95, exif=exif)
    assert differences(tmp_path / "x.jpg").max() <= 1


@pytest.mark.parametrize("text", ['tiff:Orientation="6"', "<tiff:Orientation>6</tiff:Orientation>"])
def test_images_with_orientation_in_xmp_are_upright(tmp_path: Path, text: str) -> None:
    file = io.BytesIO()
    photo(400, 300).save(file, "JPEG", quality=95, xmp=text.encode())
    (tmp_path / "x.jpg").write_bytes(file.getvalue())
    assert load_image(tmp_path / "x.jpg").size == (300, 400)
    assert differences(tmp_path / "x.jpg").max() <= 1


@pytest.mark.parametrize("mode", ["L", "CMYK", "progressive", "PNG", "RGBA"])
def test_every_kind_of_file_is_read(tmp_path: Path, mode: str) -> None:
    image, file = photo(200, 150), io.BytesIO()
    if mode == "progressive":
        image.save(file, "JPEG", progressive=True)
    elif mode in ("PNG", "RGBA"):
        image.convert(mode if mode == "RGBA" else "RGB").save(file, "PNG")
    else:
        image.convert(mode).save(file, "JPEG")
    (tmp_path / "x.jpg").write_bytes(file.getvalue())
    assert differences(tmp_path / "x.jpg").max() <= 1


def test_file_that_pillow_refuses_is_refused_with_its_message(tmp_path: Path) -> None:
    file = io.BytesIO()
    photo(200, 150).save(file, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(file.getvalue()[:-3000])
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("cut.jpg", "text.jpg", "gone.jpg"):
        messages = []
        for decoder in square_reader.DECODERS:
            with pytest.raises(InputError, match=name) as error:
                square(tmp_path / name, decoder)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_jpeg, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'decoder=simplejpeg: .* pip install -e "\.\[jpeg\]"') as error:
        SquareReader(64, 3, "crop", "simplejpeg")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"decoder=opencv: must be one of pillow, simplejpeg"):
        SquareReader(64, 3, "crop", "opencv")


@pytest.mark.parametrize(
    ("width", "height", "divisor"),
    [(340, 255, 1), (256, 256, 2), (1024, 255, 1), (900, 511, 2), (900, 512, 4), (1100, 1024, 8)],
)
def test_large_jpeg_is_decoded_at_a_fraction_of_its_size(width: int, height: int, divisor: int) -> None:
    file = io.BytesIO()
    photo(width, height).save(file, "JPEG", quality=95)
    assert reduction(width, height, 64) == divisor
    small, full = (load_image(io.BytesIO(file.getvalue()), "x", size) for size in (64, None))
    assert small.size == (-(-width // divisor), -(-height // divisor))
    assert full.size == (width, height)
    if divisor > 1:
        assert min(small.size) >= 128
    target = (96, 64)
    pair = [np.asarray(image.resize(target, Image.Resampling.BILINEAR), int) for image in (small, full)]
    assert np.abs(pair[0] - pair[1]).mean() < 3


def test_other_formats_are_decoded_in_full(tmp_path: Path) -> None:
    photo(600, 400).save(tmp_path / "x.png")
    assert load_image(tmp_path / "x.png", for_size=16).size == (600, 400)

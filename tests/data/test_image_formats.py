import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mobilenet_lab.data.images import load_image
from mobilenet_lab.runtime.errors import InputError


def box(*brands: bytes) -> bytes:
    """Return the first box of an ISO/IEC 14496-12 file: length, name, main brand, version, other brands."""
    content = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (4 + len(content)).to_bytes(4) + content


def test_avif_is_read_whatever_its_extension(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 12), (200, 30, 40))
    image.save(tmp_path / "x.avif", quality=95)
    (tmp_path / "x.avif").rename(tmp_path / "x.jpg")
    opened = load_image(tmp_path / "x.jpg")
    assert np.abs(np.asarray(opened, int) - (200, 30, 40)).max() <= 3


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"heic", b"miaf"), (b"msf1", b"hevc")])
def test_heic_without_its_package_names_both(monkeypatch: pytest.MonkeyPatch, brands: tuple[bytes]) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r'^a\.jpg: HEIC needs .* pip install -e "\.\[heic\]"'):
        load_image(io.BytesIO(box(*brands) + bytes(40)), "a.jpg")


def test_heic_is_opened_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is represented by a module that registers an opener, as it does."""
    png = io.BytesIO()
    Image.new("L", (3, 2), 77).save(png, "PNG")

    def open_png(*_: object) -> Image.Image:
        return PngImagePlugin.PngImageFile(io.BytesIO(png.getvalue()))

    def register() -> None:
        monkeypatch.setitem(Image.OPEN, "HEIF", (open_png, None))

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    assert np.asarray(load_image(io.BytesIO(box(b"heic")), "x")).tolist() == [[77] * 3] * 2


def test_heic_of_the_installed_package_is_read() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 40))).save(file, quality=95)
    opened = load_image(io.BytesIO(file.getvalue()), "x")
    assert opened.size == (64, 48)
    with pytest.raises(InputError, match=r"^x: damaged image"):
        load_image(io.BytesIO(file.getvalue()[:60]), "x")
    assert np.abs(np.asarray(opened, int) - (200, 30, 40)).max() <= 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7", "PDF is not supported; convert it to PNG or JPEG"),
        (b'<svg xmlns="x">', "SVG is not supported"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL is not supported"),
        (bytes(128) + b"DICM" + bytes(9), "DICOM is not supported"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not an image; run git lfs"),
        (b"text", "not an image"),
        (box(b"avif", b"mif1"), "damaged image: not a readable AVIF file"),
    ],
)
def test_other_formats_are_named(content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=f"^x: {reason}"):
        load_image(io.BytesIO(content), "x")

"""The formats of image files: which are read, by which names a folder lists them, and how a file is told.

A file's format follows from its first bytes. Its extension matters only to list the images of a folder.
"""

from importlib.util import find_spec
from typing import IO

from PIL import Image, UnidentifiedImageError, features

from mobilenet_lab.runtime.errors import InputError

# A subset of what Pillow reads: PostScript, for one, would run another program.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF")
# Extensions of these formats, in lower case, and those of HEIC, which needs the package pillow-heif
EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".jpe", ".jfif", ".pbm", ".pgm", ".pnm", ".ppm", ".png"}
EXTENSIONS |= {".tif", ".tiff", ".webp", ".avif"}
HEIC_EXTENSIONS = {".heic", ".heif", ".hif"}
READABLE_EXTENSIONS = EXTENSIONS | (HEIC_EXTENSIONS if find_spec("pillow_heif") else set())

HEAD_BYTES = 132
# Brands of ISO/IEC 14496-12 files, at the start of which they are listed in a box called ftyp
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
AVIF_BRANDS = {b"avif", b"avis"}
# Formats that are not read, by what a file of theirs has at a position
OTHER_FORMATS = (
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "SVG or other XML"),
    (0, b"PK\3\4", "ZIP"),
    (0, b"v/1\1", "OpenEXR"),
    (128, b"DICM", "DICOM"),
)
GIT_LFS_POINTER = b"version https://git-lfs"


def open_image(stream: IO[bytes], name: str) -> Image.Image:
    """Open an image without decoding it.

    Args:
        stream: An open file.
        name: Name for error messages.

    Raises:
        InputError: The file has another format than `FORMATS` or HEIC, or HEIC is not installed.
    """
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    brands = _brands(head)
    try:
        return _open_heic(stream, name) if brands & HEIC_BRANDS else Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: {_explain(head, brands)}") from error


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an ISO/IEC 14496-12 file, which are the names of its format and its relatives."""
    if head[4:8] != b"ftyp":
        return set()
    box = head[: int.from_bytes(head[:4])]
    return {box[8:12], *(box[i : i + 4] for i in range(16, len(box) - 3, 4))}


def _open_heic(stream: IO[bytes], name: str) -> Image.Image:
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise InputError(
            f'{name}: HEIC needs the package pillow-heif; install it with pip install -e ".[heic]", or '
            "convert the image"
        ) from error
    pillow_heif.register_heif_opener()
    return Image.open(stream, formats=("HEIF",))


def _explain(head: bytes, brands: set[bytes]) -> str:
    if brands & AVIF_BRANDS and not features.check("avif"):
        return "AVIF is not part of the installed Pillow; install Pillow as a wheel, or convert the image"
    for names, format in ((HEIC_BRANDS, "HEIC"), (AVIF_BRANDS, "AVIF")):
        if brands & names:
            return f"damaged image: not a readable {format} file"
    if head.startswith(GIT_LFS_POINTER):
        return "a pointer of Git LFS, not an image; run git lfs pull"
    for position, magic, format in OTHER_FORMATS:
        if head[position:].startswith(magic):
            return f"{format} is not supported; convert it to PNG or JPEG"
    return "not an image"

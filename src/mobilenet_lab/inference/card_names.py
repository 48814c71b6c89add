"""File names for the cards of images, one per image."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from mobilenet_lab.inference.image_files import STANDARD_INPUT
from mobilenet_lab.inference.web_addresses import is_url

MAX_STEM_BYTES = 200  # of a file name's 255


def card_names(names: Sequence[str]) -> list[str]:
    """Return a relative path that ends in .png for each image, all different, even if case does not matter.

    Files keep their place below the deepest folder that contains all of them.

    Args:
        names: Paths, URLs, or `-` for standard input.
    """
    files = [os.path.abspath(name) for name in names if not (is_url(name) or name == STANDARD_INPUT)]  # noqa: PTH100
    root = os.path.commonpath([os.path.dirname(file) for file in files]) if files else ""  # noqa: PTH120
    taken: set[str] = set()
    return [_free(_wanted(name, root), taken) for name in names]


def _wanted(name: str, root: str) -> PurePosixPath:
    if name == STANDARD_INPUT:
        return PurePosixPath("standard-input.png")
    if is_url(name):
        parts = urlsplit(name)
        last = unquote(PurePosixPath(parts.path).name) or parts.hostname or "image"
        path = PurePosixPath("".join("_" if c in "/\\\0" else c for c in last))
    else:
        path = PurePosixPath(os.path.relpath(os.path.abspath(name), root))  # noqa: PTH100
        path = path if path.name else PurePosixPath("image")  # only a folder is called so
    # x.jpg and x.png may be in one folder.
    return path if path.suffix == ".png" else path.with_name(f"{path.name}.png")


def _free(wanted: PurePosixPath, taken: set[str]) -> str:
    """Return the path, with a number if it is taken, and take it."""
    stem = wanted.stem.encode(errors="surrogateescape")[:MAX_STEM_BYTES].decode(errors="ignore")
    candidate, number = wanted.with_name(f"{stem}.png"), 2
    while str(candidate).casefold() in taken:
        candidate, number = wanted.with_name(f"{stem} ({number}).png"), number + 1
    taken.add(str(candidate).casefold())
    return str(Path(candidate))

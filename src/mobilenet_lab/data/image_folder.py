"""Pictures in one folder a class: only names are held, a batch's pictures are decoded when asked for."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.pictures import FITS, find_unreadable, fit_picture, open_picture, printable
from mobilenet_lab.errors import InputError

log = logging.getLogger(__name__)

EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".jpe", ".jfif", ".pbm", ".pgm", ".pnm", ".ppm", ".png"}
EXTENSIONS |= {".tif", ".tiff", ".webp"}
OTHER_NAMES = {"valid", "validation", "dev", "eval", "testing"}  # others' for "val" and "test"
PART_NAMES = OTHER_NAMES | {"train", "training", "val", "test"}  # in small letters
ON_BAD_IMAGE = ("error", "skip")
NUM_NAMED = 3  # of the files left out
PATIENCE_S = 2.0  # looking through files for longer shows a bar


@dataclass(frozen=True)
class FolderPictures:
    """The pictures of a folder, as names.

    Args:
        files: Paths below `root`, in a fixed order.
        labels: int64, shape (N,).
        size, channels, fit: See `data.pictures.fit_picture`.
    """

    root: Path
    files: list[str]
    labels: np.ndarray
    size: int
    channels: int
    fit: str

    def __len__(self) -> int:
        return len(self.files)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Decode a batch.

        Args:
            indices: Which pictures, shape (n,).

        Returns:
            Pictures, uint8, shape (n, channels, size, size), and labels, int64, shape (n,).

        Raises:
            InputError: a file cannot be read or is no picture; the message names it.
        """
        images = np.empty((len(indices), self.channels, self.size, self.size), np.uint8)
        for i, index in enumerate(indices):
            try:
                picture = open_picture(self.root / self.files[index])
            except InputError as error:
                raise InputError(
                    f"{error}; mend or remove it, or leave out such files with data.on_bad_image=skip"
                ) from error
            images[i] = fit_picture(picture, self.size, self.channels, self.fit)
        return torch.from_numpy(images), torch.from_numpy(self.read_labels(indices))

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Labels alone, int64, shape (n,); nothing is decoded."""
        return self.labels[indices]


@dataclass(frozen=True)
class FolderSource:
    """`root`/<class>/<file>, or `root`/train/<class>/<file> beside the folders test, val or both.

    A class is a folder that holds pictures; its name is the class's name. Pictures below it at any depth
    belong to it. Names that begin with a dot are left out. A class may be a link to a folder elsewhere, and a
    picture one to a file; links to folders further down, and back to where the classes lie, are not followed.

    Args:
        root, size, channels, fit: See `FolderPictures`.
        digits: Whether the pictures are digits in MNIST's form: bright on black, cropped, centred.
        on_bad_image: "error" reports the first file that cannot be decoded when it is read; "skip" decodes
            every file when a part is opened and leaves such out before anything is divided or ordered, so
            that order, shares and resuming are those of a folder without them.
    """

    root: Path
    size: int
    channels: int
    fit: str
    digits: bool
    on_bad_image: str = "error"
    name: str = "image_folder"

    def prepare(self) -> None:
        """Nothing is fetched."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of the folders, sorted.

        Raises:
            FileNotFoundError: there is no such folder.
            InputError: it holds fewer than two classes.
        """
        folder = self._folder("train")
        if not folder.is_dir():
            raise FileNotFoundError(f"data.root={self.root}: no such folder")
        names = _classes_in(folder)
        others = sorted(name for name in OTHER_NAMES if self._is_part(name))
        if others and self._is_part("train"):
            raise InputError(
                f"{self.root}: has train and {' and '.join(others)}: call the folder of pictures to validate "
                "with val, and of those to test with test"
            )
        if len(parts := [name for name in names if name.lower() in PART_NAMES]) > 1:
            raise InputError(
                f"{folder}: {' and '.join(parts)} are parts, and not classes: call the folder of pictures to "
                "train on train, of those to validate with val, and of those to test with test"
            )
        if len(names) < 2:
            raise InputError(
                f"{folder}: needs at least two folders with pictures, one a class; it has "
                f"{', '.join(names) or 'none'}"
            )
        return names

    @property
    def picture_size(self) -> int:
        """Pixels of the side that pictures are decoded to."""
        return self.size

    def has_part(self, part: str) -> bool:
        """Whether there is a folder of that name beside the folder train."""
        return (self.root / "train").is_dir() and (self.root / part).is_dir()

    def open(self, part: str) -> FolderPictures:
        """List a part: "train", or "val" or "test" where there is such a folder.

        Raises:
            FileNotFoundError: the folder holds no such pictures apart.
            InputError: the part has a class that the training pictures lack, or with
                `on_bad_image="skip"`, a class has no picture that can be decoded.
        """
        folder = self._folder(part)
        if part != "train" and not self.has_part(part):
            raise FileNotFoundError(
                f"{self.root} has no {part} pictures apart: choose data.{part}_split, or make the folders "
                f"train and {part}"
            )
        classes = self.classes
        if unknown := set(_classes_in(folder)) - set(classes):
            raise InputError(f"{folder}: {', '.join(sorted(unknown))}: not among the training classes")
        files, labels = [], []
        others: Counter[str] = Counter()
        for label, name in enumerate(classes):
            found = pictures_in(folder / name, others)
            files += [f"{name}/{file}" for file in found]
            labels += [label] * len(found)
        if others:
            counts = ", ".join(
                f"{number} {printable(suffix) or 'without'}" for suffix, number in others.most_common()
            )
            log.warning("%s: files that are no pictures by their endings are left out: %s", folder, counts)
        if self.on_bad_image == "skip":
            kept = _readable(folder, files)
            files, labels = [files[i] for i in kept], [labels[i] for i in kept]
            if part == "train" and (empty := set(range(len(classes))) - set(labels)):
                names = ", ".join(str(folder / classes[label]) for label in sorted(empty))
                raise InputError(f"{names}: no picture in it can be decoded; mend or remove the folder")
        return FolderPictures(folder, files, np.array(labels, np.int64), self.size, self.channels, self.fit)

    def _is_part(self, name: str) -> bool:
        return (self.root / name).is_dir() and len(pictures_in(self.root / name)) > 0

    def _folder(self, part: str) -> Path:
        is_divided = self.has_part("val") or self.has_part("test")
        return self.root / part if is_divided else self.root


def image_folder(
    root: str,
    size: int,
    channels: int,
    fit: str = "crop",
    digits: bool = False,
    on_bad_image: str = "error",
) -> FolderSource:
    """Pictures in `root`/<class>/<file>.

    Raises:
        InputError: `fit` or `on_bad_image` is unknown.
    """
    if fit not in FITS:
        raise InputError(f"data.source.fit={fit}: must be one of {', '.join(FITS)}")
    if on_bad_image not in ON_BAD_IMAGE:
        raise InputError(f"data.on_bad_image={on_bad_image}: must be one of {', '.join(ON_BAD_IMAGE)}")
    return FolderSource(Path(root), size, channels, fit, digits, on_bad_image)


def _classes_in(folder: Path) -> list[str]:
    """The folders that hold pictures, sorted.

    Raises:
        InputError: by links, two of them are the same, and pictures would count twice.
        PermissionError: a folder may not be read.
    """
    names: dict[Path, str] = {}
    here = folder.resolve()
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        place = entry.resolve()
        if here.is_relative_to(place):  # a link back; its pictures are those of all classes
            continue
        if place in names:
            raise InputError(
                f"{entry}: the same folder as {folder / names[place]}; remove one of the two, as a picture "
                "has one class"
            )
        if pictures_in(entry):
            names[place] = entry.name
    return sorted(names.values())


def _raise(error: OSError) -> None:
    raise error


def pictures_in(
    folder: Path,
    others: Counter[str] | None = None,
    onerror: Callable[[OSError], None] | None = _raise,
) -> list[str]:
    """Files below a folder that have a picture's ending, by their names below it, in a fixed order.

    Args:
        folder: Names in it that begin with a dot are left out, and links to folders are not followed.
        others: Counts the endings of the other files.
        onerror: Hears of a folder that may not be read, and raises its error; None leaves such folders out.
    """
    found = []
    for parent, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(name for name in files if not name.startswith(".")):
            ending = os.path.splitext(file)[1].lower()
            if ending in EXTENSIONS:
                found.append(os.path.relpath(os.path.join(parent, file), folder))
            elif others is not None:
                others[ending] += 1
    return found


def _readable(folder: Path, files: list[str]) -> list[int]:
    """Positions of the files that can be decoded; the number of the others is reported."""
    from tqdm import tqdm  # here, as prediction does without

    bar: Iterable[InputError | None] = tqdm(
        find_unreadable([folder / file for file in files]),
        total=len(files),
        unit=" pictures",
        desc="checking",
        delay=PATIENCE_S,
        leave=False,
        disable=None,
    )
    errors = list(bar)
    bad = [printable(file) for file, error in zip(files, errors, strict=True) if error]
    if bad:
        log.warning(
            "data.on_bad_image=skip: %d of %d files in %s cannot be decoded and are left out: %s%s",
            len(bad),
            len(files),
            folder,
            ", ".join(bad[:NUM_NAMED]),
            ", ..." if len(bad) > NUM_NAMED else "",
        )
    return [i for i, error in enumerate(errors) if not error]

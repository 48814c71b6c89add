"""Name what pictures show, from a checkpoint alone: neither Lightning nor the training code is imported."""

import csv
import glob
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig
from PIL import Image
from torch import Tensor

from mobilenet_lab.allocator import keep_pages
from mobilenet_lab.checkpoint import find_checkpoints
from mobilenet_lab.data.digits import prepare_digit
from mobilenet_lab.data.image_folder import pictures_in
from mobilenet_lab.data.pictures import MAX_BYTES, fit_picture, grey_or_colour, open_picture, printable
from mobilenet_lab.devices import pick_device
from mobilenet_lab.ensemble import Ensemble
from mobilenet_lab.errors import InputError

STANDARD_INPUT = "-"
MAX_NAME = 60  # characters of one that no file system takes, in messages
MAX_BATCH_PIXELS = 1 << 24  # of pictures that are named at once; 250 of 224 x 224 have 12.5 million


@dataclass(frozen=True)
class Prediction:
    """What a picture shows.

    Attributes:
        class_name: The likeliest class.
        probabilities: Of every class, in the order of labels; they add up to 1.
    """

    class_name: str
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """The likeliest class's probability."""
        return self.probabilities[self.class_name]


class Predictor:
    """A trained network with the preprocessing that it was trained with; of several, the mean probability.

    Args:
        checkpoint: A checkpoint file, a run folder, "latest", or a list of such.
        preprocess: "auto" brings photographed and drawn digits to MNIST's form, for networks that were
            trained on such; "none" only fits the size.
        accelerator: "cpu", "gpu", or "auto" for a GPU where there is one.
        fold_norm: Whether batch normalisation is folded into the convolutions; see `models.folding`.

    Raises:
        FileNotFoundError: there is no checkpoint.
        InputError: it cannot be used, or there is no GPU.
    """

    def __init__(
        self,
        checkpoint: str | Path | Sequence[str | Path],
        preprocess: str = "auto",
        accelerator: str = "cpu",
        fold_norm: bool = True,
    ) -> None:
        self._ensemble = Ensemble(find_checkpoints(checkpoint), pick_device(accelerator), fold_norm)
        self.classes = self._ensemble.classes
        self._data = self._ensemble.data[0]
        self.largest_side: int = self._ensemble.largest_side
        self._prepares_digits = preprocess == "auto" and self._data["digits"]

    def __call__(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Classify pictures of any size and mode, as one batch."""
        return self.classify([self.prepare(image) for image in images])

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Bring a picture to the form in which the data set's pictures are read.

        Returns:
            uint8, shape (channels, side, side).
        """
        size = self._data["picture_size"]
        image = grey_or_colour(image)
        if self._prepares_digits:
            pixels = prepare_digit(image)
            if pixels.shape == (size, size) and self._ensemble.channels == 1:
                return pixels[None]
            image = Image.fromarray(pixels)
        return fit_picture(image, size, self._ensemble.channels, self._data["fit"])

    def classify(self, pixels: Sequence[np.ndarray]) -> list[Prediction]:
        """Name pictures that `prepare` has brought to their form."""
        if not pixels:
            return []
        probabilities = self.probabilities(torch.from_numpy(np.stack(pixels))).tolist()
        return [
            Prediction(self.classes[int(np.argmax(row))], dict(zip(self.classes, row, strict=True)))
            for row in probabilities
        ]

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of a batch as read.

        Args:
            images: uint8, shape (N, 1 or 3, H, W).

        Returns:
            float32, shape (N, number of classes), on the CPU.
        """
        return self._ensemble(images).softmax(dim=1).cpu()


def predict(cfg: DictConfig) -> int:
    """Run predict.py's configuration: print a prediction for each picture.

    Pictures that cannot be read are listed on standard error; the others are answered all the same.

    Returns:
        The exit status: 1 where a picture could not be read, else 0.
    """
    keep_pages()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names that are no UTF-8 come out as they are
    patterns = cfg.image if isinstance(cfg.image, ListConfig) else [cfg.image]
    names, failures = list_images([str(pattern) for pattern in patterns])
    predictor = Predictor(cfg.ckpt, cfg.preprocess, cfg.accelerator, cfg.fold_norm)
    predictions = predict_files(predictor, names, cfg.batch_size, failures)
    WRITERS[cfg.format](predictions, predictor.classes, sys.stdout)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


def list_images(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files that names, folders and globs mean, in the order given; a folder's are sorted.

    Returns:
        The files, and a message for each pattern that means none.
    """
    names: list[str] = []
    failures: list[str] = []
    for pattern in patterns:
        try:
            found = _files_of(pattern)
        except OSError as error:
            shown = pattern if len(pattern) <= MAX_NAME else f"{pattern[:MAX_NAME]}..."
            failures.append(f"image={printable(shown)}: {error.strerror}")
            continue
        if not found:
            reason = "no pictures in it" if Path(pattern).is_dir() else "no such file"
            failures.append(f"image={printable(pattern)}: {reason}")
        names += found
    return names, failures


def _files_of(pattern: str) -> list[str]:
    """Links to folders are followed where they are named, and not further down, so that loops end.

    Raises:
        OSError: no file can have this name, or a folder may not be read.
    """
    path = Path(pattern)
    if pattern == STANDARD_INPUT or path.is_file():
        return [pattern]
    if path.is_dir():
        next(path.iterdir(), None)  # tells when it may not be read; folders further down are left out then
        pictures = (path / name for name in pictures_in(path, onerror=None))
        return sorted(str(file) for file in pictures if file.is_file())
    first, *others = pattern.split("/")
    parts = [first or "/", *others] if others else [first]
    if "**" not in parts:
        return sorted(p for p in glob.glob(pattern) if Path(p).is_file())
    depth = parts.index("**")
    start = os.path.join(*parts[:depth]) if depth else ""
    found = []
    for folder in glob.glob(start) if start else ["."]:
        for parent, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(parent, name) for name in files if not name.startswith(".")):
                if _match(file.relative_to(folder).parts, parts[depth:]) and file.is_file():
                    found.append(str(file))
    return sorted(found)


def _match(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether a path's parts match a glob's, of which `**` stands for any number."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_match(names[i:], patterns[1:]) for i in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _match(names[1:], patterns[1:])


def predict_files(
    predictor: Predictor, names: Sequence[str], batch_size: int, failures: list[str]
) -> Iterator[tuple[str, Prediction]]:
    """Name the pictures of files in their order, batch by batch.

    Args:
        predictor: The network.
        names: Paths, or `-` for standard input.
        batch_size: Files that are read and named at once; fewer where their pictures are large.
        failures: Gets a message for each file that cannot be read.
    """
    batch_size = min(batch_size, max(1, MAX_BATCH_PIXELS // predictor.largest_side**2))
    for start in range(0, len(names), batch_size):
        read: list[tuple[str, np.ndarray]] = []
        for name in names[start : start + batch_size]:
            try:
                with _silent_libraries():
                    picture = _open(name)
                read.append((name, predictor.prepare(picture)))
            except InputError as error:
                failures.append(str(error))
        predictions = predictor.classify([pixels for _, pixels in read])
        yield from zip([name for name, _ in read], predictions, strict=True)


def write_text(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """One line a picture, for people."""
    for name, prediction in predictions:
        out.write(f"{printable(name)}: {prediction.class_name} ({prediction.confidence:.1%})\n")


def write_json(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """One list of objects with image, class, confidence and probabilities."""
    out.write("[")
    for i, (name, prediction) in enumerate(predictions):
        entry = {
            "image": name,
            "class": prediction.class_name,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
        }
        out.write(f"{',' if i else ''}\n  {json.dumps(entry)}")
    out.write("\n]\n")


def write_csv(predictions: Iterable[tuple[str, Prediction]], classes: Sequence[str], out: IO[str]) -> None:
    """One row a picture: image, class, confidence, then every class's probability."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "class", "confidence", *classes])
    for name, prediction in predictions:
        writer.writerow(
            [name, prediction.class_name, prediction.confidence, *prediction.probabilities.values()]
        )


WRITERS = {"text": write_text, "json": write_json, "csv": write_csv}


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what libtiff writes about damaged files, in its own words, off the standard error."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _open(name: str) -> Image.Image:
    if name == STANDARD_INPUT:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"standard input: has more than {MAX_BYTES:,} bytes")
        return open_picture(io.BytesIO(content), name="standard input")
    return open_picture(Path(name))

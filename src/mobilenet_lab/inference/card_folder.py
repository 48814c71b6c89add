"""A folder of cards: each image with its answer and with what the network saw."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from mobilenet_lab.data.resize_modes import crop_center
from mobilenet_lab.inference.answer_card import card_painter, draw_card, thumbnail
from mobilenet_lab.inference.card_names import card_names
from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.runtime.atomic_files import replace_atomically
from mobilenet_lab.runtime.errors import InputError

MARK = {"Software": "MobileNet Lab predict.py"}  # a text of the PNG file, by which cards are recognized
DEFAULT_ANSWERS = 3

Explain = Callable[[np.ndarray, Sequence[int]], np.ndarray]  # see `explain.Explainer`


class CardFolder:
    """Writes one card per image.

    Args:
        folder: Where to write; it is created.
        names: Names of all images, in order; see `card_names`.
        classes: Class names, by label.
        visible_side: Side of the centered square that the networks see of an image as read.
        num_answers: How many of the most likely classes a card shows.
        explain: Computes maps of the evidence for the answers; None for cards without them.

    Raises:
        InputError: A card would replace a file that is not a card, or the folder cannot be created.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        classes: Sequence[str],
        visible_side: int,
        num_answers: int = DEFAULT_ANSWERS,
        explain: Explain | None = None,
    ) -> None:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"save_images={folder}: is a file; use another name for the folder")
        self._files = [folder / name for name in card_names(names)]
        for file in self._files:
            _check_free(file, folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"save_images={folder}: cannot be created: {error.strerror}; use another folder"
            ) from error
        self._labels = {name: label for label, name in enumerate(classes)}
        self._painter = card_painter(classes)
        self._visible_side = visible_side
        self._num_answers = num_answers
        self._explain = explain

    @staticmethod
    def keep(image: Image.Image) -> Image.Image:
        """Return what a card needs of an image."""
        return thumbnail(image)

    def add(
        self,
        positions: Sequence[int],
        images: Sequence[Image.Image],
        pixels: Sequence[np.ndarray],
        predictions: Sequence[Prediction],
    ) -> None:
        """Write the cards of a batch.

        Args:
            positions: Place of each image in the names.
            images: What `keep` returned for them.
            pixels: The images as read; see `predictor.Prepared`.
            predictions: The answers; those that are not finite get no card.
        """
        maps = self._maps(pixels, predictions)
        for position, image, seen, prediction, heat in zip(
            positions, images, pixels, predictions, maps, strict=True
        ):
            if not prediction.is_finite:
                continue
            visible, shown = crop_center(seen, self._visible_side), None
            if heat is not None:
                shown = crop_center(heat, self._visible_side)
            card = draw_card(self._painter, image, visible, prediction, self._num_answers, shown)
            _save(card, self._files[position])

    def _maps(
        self, pixels: Sequence[np.ndarray], predictions: Sequence[Prediction]
    ) -> Sequence[np.ndarray | None]:
        """Return the evidence for each answer, none for images without an answer."""
        if self._explain is None:
            return [None] * len(predictions)
        maps = [np.zeros(seen.shape[1:], np.float32) for seen in pixels]
        answered = [i for i, one in enumerate(predictions) if one.class_name is not None and one.is_finite]
        if answered:
            labels = [self._labels[str(predictions[i].class_name)] for i in answered]
            found = self._explain(np.stack([pixels[i] for i in answered]), labels)
            for i, heat in zip(answered, found, strict=True):
                maps[i] = heat
        return maps


def _check_free(file: Path, folder: Path) -> None:
    """Refuse a name at which there is something else than a card."""
    if not file.exists() and not file.is_symlink():
        return
    try:
        with Image.open(file, formats=("PNG",)) as image:
            is_card = all(image.info.get(key) == value for key, value in MARK.items())
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        is_card = False
    if not is_card or file.is_symlink():
        raise InputError(
            f"save_images={folder}: {file} exists and was not written by predict.py; use another folder"
        )


def _save(card: Image.Image, file: Path) -> None:
    info = PngInfo()
    for key, value in MARK.items():
        info.add_text(key, value)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        replace_atomically(file, lambda scratch: card.save(scratch, "PNG", pnginfo=info))
    except OSError as error:
        raise InputError(
            f"{file}: cannot be written: {error.strerror or error}; use another folder"
        ) from error

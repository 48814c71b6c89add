"""Run predict.py's configuration: classify image files and print the answers."""

import io
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig
from PIL import Image

from mobilenet_lab.checkpoints.locate import is_onnx
from mobilenet_lab.data.image_depth import log_bits_used
from mobilenet_lab.data.images import MAX_BYTES, load_image
from mobilenet_lab.inference.classifier import open_classifier
from mobilenet_lab.inference.image_files import STANDARD_INPUT, list_images
from mobilenet_lab.inference.output_file import check_output, write_predictions
from mobilenet_lab.inference.predictor import NOT_FINITE, Prediction, Predictor, Prepared
from mobilenet_lab.inference.progress import with_progress
from mobilenet_lab.inference.web_addresses import display_name, is_url, without_secrets
from mobilenet_lab.inference.writers import Named
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.malloc import configure_malloc
from mobilenet_lab.runtime.standard_error import discard_stderr
from mobilenet_lab.runtime.text import printable

if TYPE_CHECKING:
    from mobilenet_lab.inference.card_folder import CardFolder

log = logging.getLogger(__name__)
MANY_CLASSES, MANY_ANSWERS = 20, 5  # top_k=null lists 5 answers of a model with more than 20 classes


def predict(cfg: DictConfig, checkpoints: Sequence[Path]) -> int:
    """Print a prediction for each image.

    Images that cannot be read are listed on standard error, and the others are classified all the same.

    Args:
        cfg: A checked configuration.
        checkpoints: The files that `cfg.ckpt` refers to.

    Returns:
        The exit status: 1 if an image could not be read or has no digit to classify, else 0.
    """
    configure_malloc()
    output = None if cfg.output is None else check_output(cfg.output)
    _check_explain(cfg, checkpoints)
    patterns = cfg.image if isinstance(cfg.image, ListConfig) else [cfg.image]
    names, failures = list_images([str(pattern) for pattern in patterns])
    classifier = open_classifier(checkpoints, cfg.accelerator, cfg.fuse_bn)
    if not cfg.fuse_bn and is_onnx(checkpoints[0]):
        log.warning("fuse_bn=false: ignored, because BatchNorm is fused in ONNX files")
    predictor = Predictor(classifier, cfg.preprocess, min_confidence=cfg.min_confidence)
    if cfg.top_k is not None and cfg.top_k > len(predictor.classes):
        raise InputError(f"top_k={cfg.top_k}: the model has {len(predictor.classes)} classes; use fewer")
    top_k = cfg.top_k or (MANY_ANSWERS if len(predictor.classes) > MANY_CLASSES else None)
    cards = _card_folder(cfg, predictor, names, top_k)
    count = Count()
    shown_as = cfg.format or ("text" if output is None else None)
    predictions = predict_files(predictor, names, cfg.batch_size, failures, cards)
    predictions = with_progress(predictions, len(names), prints_answers=shown_as is not None)
    write_predictions(count.each(predictions), predictor.classes, output, shown_as, top_k)
    if shown_as is None:
        print(f"{printable(str(output))}: {count}", flush=True)
    for failure in failures:
        print(f"error: {printable(failure)}", file=sys.stderr)
    return 1 if failures or count.without_class else 0


def _check_explain(cfg: DictConfig, checkpoints: Sequence[Path]) -> None:
    if not cfg.explain:
        return
    if cfg.save_images is None:
        raise InputError("explain=true: is drawn into saved images; add save_images=<folder>")
    if exported := [path for path in checkpoints if is_onnx(path)]:
        raise InputError(
            f"explain=true: needs gradients, which {exported[0]} does not have; use ckpt=<checkpoint>"
        )


def _card_folder(
    cfg: DictConfig, predictor: Predictor, names: Sequence[str], top_k: int | None
) -> "CardFolder | None":
    """Return the folder for `save_images`, or None."""
    if cfg.save_images is None:
        return None
    from mobilenet_lab.inference.card_folder import DEFAULT_ANSWERS, CardFolder

    explain = predictor.explainer() if cfg.explain else None
    num_answers = top_k or DEFAULT_ANSWERS
    return CardFolder(
        Path(cfg.save_images), names, predictor.classes, predictor.visible_side, num_answers, explain
    )


@dataclass
class Count:
    """Number of predictions that have passed, and of those without a class."""

    images: int = 0
    without_class: int = 0

    def each(self, predictions: Iterable[Named]) -> Iterator[Named]:
        """Pass predictions on, and count them."""
        for named in predictions:
            self.images += 1
            self.without_class += named[1].class_name is None
            yield named

    def __str__(self) -> str:
        blank = f", {self.without_class:,} of them without a class" if self.without_class else ""
        return f"{self.images:,} image{'s' * (self.images != 1)}{blank}"


def predict_files(
    predictor: Predictor,
    names: Sequence[str],
    batch_size: int,
    failures: list[str],
    cards: "CardFolder | None" = None,
) -> Iterator[tuple[str, Prediction]]:
    """Yield the name and prediction of each image file, in order.

    Args:
        predictor: The networks.
        names: Paths, web addresses, or `-` for standard input.
        batch_size: Files to read and classify at a time; fewer if images are large.
        failures: Receives a message for each file that cannot be read.
        cards: Saves each image with its answer.
    """
    batch_size = min(batch_size, predictor.max_batch)
    for start in range(0, len(names), batch_size):
        read: list[tuple[int, str, Prepared]] = []
        kept: list[Image.Image] = []
        for position in range(start, min(start + batch_size, len(names))):
            name = display_name(names[position])
            try:
                with discard_stderr():  # where libraries such as libtiff report damaged files
                    image = _load(names[position], predictor.decode_size)
                log_bits_used(image, without_secrets(name))
                read.append((position, name, predictor.prepare(image)))
            except InputError as error:
                failures.append(str(error))
                continue
            if cards is not None:
                kept.append(cards.keep(image))
        predictions = predictor.classify([prepared for *_, prepared in read])
        if cards is not None:
            positions, pixels = [one[0] for one in read], [one[2].pixels for one in read]
            cards.add(positions, kept, pixels, predictions)
        for (_, name, _), prediction in zip(read, predictions, strict=True):
            if prediction.is_finite:
                yield name, prediction
            else:
                failures.append(f"{without_secrets(name)}: {NOT_FINITE}")


def _load(name: str, for_size: int | None) -> Image.Image:
    if name == STANDARD_INPUT:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"standard input: has more than {MAX_BYTES:,} bytes")
        if not content:
            raise InputError("standard input: is empty or closed; pipe an image into it")
        return load_image(io.BytesIO(content), name="standard input", for_size=for_size)
    if is_url(name):
        from mobilenet_lab.inference.web_images import load_url  # imports what few calls need

        return load_url(name, for_size)
    return load_image(Path(name), for_size=for_size)

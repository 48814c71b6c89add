"""Run predict.py's configuration: classify image files and print the answers."""

import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, ListConfig
from PIL import Image

from mobilenet_lab.checkpoints.locate import is_onnx
from mobilenet_lab.data.image_depth import log_bits_used
from mobilenet_lab.data.images import MAX_BYTES, load_image
from mobilenet_lab.inference.classifier import open_classifier
from mobilenet_lab.inference.image_files import STANDARD_INPUT, list_images
from mobilenet_lab.inference.predictor import NOT_FINITE, Prediction, Predictor, Prepared
from mobilenet_lab.inference.writers import FORMATS, write_output
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.malloc import configure_malloc
from mobilenet_lab.runtime.text import printable

log = logging.getLogger(__name__)


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
    patterns = cfg.image if isinstance(cfg.image, ListConfig) else [cfg.image]
    names, failures = list_images([str(pattern) for pattern in patterns])
    classifier = open_classifier(checkpoints, cfg.accelerator, cfg.fuse_bn)
    if not cfg.fuse_bn and is_onnx(checkpoints[0]):
        log.warning("fuse_bn=false: ignored, because BatchNorm is fused in ONNX files")
    predictor = Predictor(classifier, cfg.preprocess, min_confidence=cfg.min_confidence)
    unanswered: list[str] = []
    predictions = _watch(predict_files(predictor, names, cfg.batch_size, failures), unanswered)
    write_output(FORMATS[cfg.format](predictions, predictor.classes))
    for failure in failures:
        print(f"error: {printable(failure)}", file=sys.stderr)
    return 1 if failures or unanswered else 0


def _watch(
    predictions: Iterable[tuple[str, Prediction]], unanswered: list[str]
) -> Iterator[tuple[str, Prediction]]:
    """Pass predictions on, and collect the names of images without a class."""
    for name, prediction in predictions:
        if prediction.class_name is None:
            unanswered.append(name)
        yield name, prediction


def predict_files(
    predictor: Predictor, names: Sequence[str], batch_size: int, failures: list[str]
) -> Iterator[tuple[str, Prediction]]:
    """Yield the name and prediction of each image file, in order.

    Args:
        predictor: The networks.
        names: Paths, or `-` for standard input.
        batch_size: Files to read and classify at a time; fewer if images are large.
        failures: Receives a message for each file that cannot be read.
    """
    batch_size = min(batch_size, predictor.max_batch)
    for start in range(0, len(names), batch_size):
        read: list[tuple[str, Prepared]] = []
        for name in names[start : start + batch_size]:
            try:
                with _silent_libraries():
                    image = _load(name)
                log_bits_used(image, name)
                read.append((name, predictor.prepare(image)))
            except InputError as error:
                failures.append(str(error))
        predictions = predictor.classify([prepared for _, prepared in read])
        for (name, _), prediction in zip(read, predictions, strict=True):
            if prediction.is_finite:
                yield name, prediction
            else:
                failures.append(f"{name}: {NOT_FINITE}")


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Discard what C libraries such as libtiff write to standard error about damaged files."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _load(name: str) -> Image.Image:
    if name == STANDARD_INPUT:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"standard input: has more than {MAX_BYTES:,} bytes")
        if not content:
            raise InputError("standard input: is empty or closed; pipe an image into it")
        return load_image(io.BytesIO(content), name="standard input")
    return load_image(Path(name))

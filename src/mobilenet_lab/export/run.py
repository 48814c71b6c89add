"""Run export.py's configuration: write a file for another runtime, compare it, and report."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from tqdm import tqdm

from mobilenet_lab.export.comparison import Comparison, compare
from mobilenet_lab.export.deployable import Deployable
from mobilenet_lab.export.destination import size_of
from mobilenet_lab.export.formats import find_format
from mobilenet_lab.export.images import Images, LabeledBatch, generated_batches, open_images
from mobilenet_lab.export.onnx_format import to_onnx_int8
from mobilenet_lab.export.report import Report, Row
from mobilenet_lab.export.runtimes import Run
from mobilenet_lab.export.speed import BATCH_SIZE, measure_speed
from mobilenet_lab.inference.ensemble import Ensemble
from mobilenet_lab.inference.writers import write_output
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.malloc import configure_malloc

INT8, FLOAT_OF_INT8 = "onnx_int8", "onnx"
ALL_CORES = 0


def export(cfg: DictConfig, checkpoints: Sequence[Path], output: Path) -> Report:
    """Write an exported file and print how it compares with the checkpoint.

    The file is run in its own runtime first. It is written only if its answers are those of the checkpoint.

    Args:
        cfg: A checked configuration.
        checkpoints: The files that `cfg.ckpt` refers to.
        output: The file to write.

    Raises:
        InputError: A checkpoint or the data set cannot be used, or the export differs from the checkpoint.
        FileNotFoundError: The data set does not exist.
    """
    configure_malloc()
    checkpoint = Ensemble(checkpoints, torch.device("cpu"))
    images = open_images(cfg, checkpoint)
    model = Deployable(checkpoints, cfg.channels)
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            name: _write(Path(folder) / f"{name}{output.suffix}", content)
            for name, content in _contents(cfg, model, images)
        }
        comparisons = {
            name: _compare(cfg, name, checkpoint, path, model, images) for name, path in paths.items()
        }
        report = _report(cfg, checkpoints, output, model, images, paths, comparisons)
        content = paths[cfg.format].read_bytes()
    write_atomically(output, lambda scratch: scratch.write_bytes(content))
    write_output([report.as_json() if cfg.report == "json" else report.as_text(), "\n"])
    return report


def _contents(cfg: DictConfig, model: Deployable, images: Images | None) -> Iterator[tuple[str, bytes]]:
    """Yield the file of the format; before a quantized one, also the one in single precision."""
    if cfg.format != INT8:
        yield cfg.format, find_format(cfg.format).write(model)
        return
    if images is None:
        way = "remove verify=generated" if cfg.verify == "generated" else "add data=... data.root=..."
        raise InputError(f"format={INT8}: needs training images to calibrate with; {way}")
    content = find_format(FLOAT_OF_INT8).write(model)
    yield FLOAT_OF_INT8, content
    yield INT8, to_onnx_int8(content, images.calibration(cfg.calibration_images, model.input_shape[0]))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _compare(
    cfg: DictConfig, name: str, checkpoint: Ensemble, path: Path, model: Deployable, images: Images | None
) -> Comparison:
    run = find_format(name).open(path, ALL_CORES)
    batches = tqdm(  # shown on a terminal only
        _batches(cfg, model, images), f"comparing {name}", unit=" batches", leave=False, disable=None
    )
    comparison = compare(checkpoint, run, model.input_shape[0], batches)
    comparison.check(name, math.inf if name == INT8 else cfg.tolerance, cfg.max_accuracy_loss)
    return comparison


def _batches(cfg: DictConfig, model: Deployable, images: Images | None) -> Iterator[LabeledBatch]:
    return generated_batches(model.input_shape) if images is None else images.batches(cfg.split)


def _report(
    cfg: DictConfig,
    checkpoints: Sequence[Path],
    output: Path,
    model: Deployable,
    images: Images | None,
    paths: dict[str, Path],
    comparisons: dict[str, Comparison],
) -> Report:
    fused = Ensemble(checkpoints, torch.device("cpu"), fuse_bn=True)  # as predict.py runs it

    def run_checkpoint(batch: np.ndarray) -> np.ndarray:
        return fused(torch.from_numpy(batch)).softmax(dim=1).numpy()

    runs: dict[str, Run] = {"checkpoint": run_checkpoint}
    runs |= {name: find_format(name).open(path, 1) for name, path in paths.items()}
    batch_size = min(BATCH_SIZE, fused.max_batch)
    speeds = measure_speed(runs, model.example(1).numpy(), batch_size)
    first = next(iter(comparisons.values()))
    rows = [Row("checkpoint", size_of(checkpoints), first.reference_accuracy, 0.0, speeds["checkpoint"])]
    rows += [
        Row(name, size_of([paths[name]]), found.accuracy, found.largest_difference, speeds[name])
        for name, found in comparisons.items()
    ]
    data = "generated images" if images is None else f"{images.source.name}, {cfg.split}"
    return Report(str(output), [str(path) for path in checkpoints], data, first.images, batch_size, rows)

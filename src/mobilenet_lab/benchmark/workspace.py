"""Files that the benchmark cases share: a checkpoint, image files and a large data set."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet_lab.benchmark.scripts import run_script, train_overrides
from mobilenet_lab.benchmark.settings import Settings

LARGE = 6_000_000  # images in the large data set


def prepare(settings: Settings, large: bool) -> None:
    """Download MNIST and fill the workspace.

    Args:
        settings: The benchmark's settings. `settings.work` gets a run with a checkpoint in `run`, test
            images as PNG files in `images`, and the large data set in `large`.
        large: Also write the large data set.
    """
    from PIL import Image

    from mobilenet_lab.data.datasets.mnist import mnist

    mnist(str(settings.data)).prepare()
    overrides = train_overrides(replace(settings, batch_size=2), "data.max_train_samples=2")
    run_script("train.py", *overrides, cwd=settings.work)
    folder = settings.work / "images"
    folder.mkdir()
    images, _ = read_test_images(settings)
    for i, image in enumerate(images[:, 0].numpy()):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    if large:
        _write_large(settings.work / "large")


def image_files(settings: Settings) -> list[str]:
    """Return the paths of the workspace's image files."""
    return sorted(str(path) for path in (settings.work / "images").iterdir())


def read_training_images(settings: Settings) -> tuple[Any, Any]:
    """Read the images and labels of all training steps; MNIST is repeated if they are more than it has."""
    from mobilenet_lab.data.datasets.mnist import mnist

    images = mnist(str(settings.data)).open("train")
    return images.read(np.arange(settings.steps * settings.batch_size) % len(images))


def read_test_images(settings: Settings) -> tuple[Any, Any]:
    """Read the test images and labels to evaluate and predict."""
    from mobilenet_lab.data.datasets.mnist import mnist

    return mnist(str(settings.data)).open("test").read(np.arange(settings.images))


def _write_large(folder: Path) -> None:
    """Write an IDX data set as sparse files: black images that take no space on disk."""
    folder.mkdir()
    for split, count in (("train", LARGE), ("t10k", 10)):
        for name, shape in ((f"{split}-images-idx3", (count, 28, 28)), (f"{split}-labels-idx1", (count,))):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            with (folder / f"{name}-ubyte").open("wb") as file:
                file.write(header)
                file.truncate(len(header) + int(np.prod(shape)))

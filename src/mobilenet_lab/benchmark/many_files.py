"""The start of training on an image folder with many files: train.py from start to exit after one step."""

import os
import shutil
from functools import partial
from pathlib import Path

from mobilenet_lab.benchmark.photos import photo_folder
from mobilenet_lab.benchmark.scripts import time_script
from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.benchmark.timing import with_peak_memory

SOURCES, CLASSES = 1_000, 1_000  # ext4 allows 65,000 links to a file
SMALL = 10  # classes of the folder to compare with
OVERRIDES = (
    "data=image_folder",
    "model.filters=1",
    "data.image_size=32",
    "trainer.accelerator=cpu",
    "trainer.max_steps=1",
    "trainer.limit_val_batches=0",
    "trainer.limit_test_batches=0",
    "overwrite=true",
    "output_dir=start",
)


def start(settings: Settings, num_classes: int = CLASSES, is_first: bool = False) -> Figures:
    """Time train.py for one step.

    Args:
        settings: The benchmark's settings.
        num_classes: Number of folders, each with a thousand files.
        is_first: Whether to remove the index of an earlier run before.
    """
    folder = settings.work / f"files{num_classes}"
    cache = settings.work / f"cache{num_classes}"  # holds the index of this folder alone
    os.environ["XDG_CACHE_HOME"] = str(cache)
    run = partial(time_script, settings, "train.py", *OVERRIDES, f"data.root={folder}")
    if not folder.exists():
        _link_files(settings, folder, num_classes)
    if is_first:
        shutil.rmtree(cache, ignore_errors=True)
    elif not cache.exists():
        run()  # keeps the index
    return with_peak_memory(run(), of_children=True)


def _link_files(settings: Settings, folder: Path, num_classes: int) -> None:
    photos = sorted(photo_folder(settings).glob("*/*.jpg"))
    sources = settings.work / "sources"
    if not sources.exists():
        sources.mkdir()
        for i in range(SOURCES):
            shutil.copy(photos[i % len(photos)], sources / f"{i:06d}.jpg")
    names = sorted(path.name for path in sources.iterdir())
    for i in range(num_classes):
        target = folder / f"class{i:04d}"
        target.mkdir(parents=True)
        for name in names:
            os.link(sources / name, target / name)

"""Reading photographs: JPEG files of 500 x 375 pixels as squares of 224, with one worker per core."""

import io
import multiprocessing
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.benchmark.timing import throughput
from mobilenet_lab.runtime.machine import available_cores

SIZE, WIDTH, HEIGHT = 224, 500, 375
FILES = 400  # in two classes
QUALITY = 90
REPEATS = 3  # epochs that are timed; each worker starts before
BATCH_SIZE = 32


def photo_folder(settings: Settings) -> Path:
    """Return the folder of the files: crops of the photograph that comes with matplotlib."""
    folder = settings.work / "photos"
    if not folder.exists():
        _write_photos(folder)
    return folder


def _write_photos(folder: Path) -> None:
    import numpy as np
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    random = np.random.default_rng(0)
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        for i in range(FILES):
            width = int(random.integers(300, photo.width + 1))
            height = width * HEIGHT // WIDTH
            left, top = (
                int(random.integers(0, most + 1)) for most in (photo.width - width, photo.height - height)
            )
            crop = photo.crop((left, top, left + width, top + height)).resize((WIDTH, HEIGHT))
            path = folder / f"class{i % 2}" / f"{i:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            crop.save(path, quality=QUALITY)


def read_photos(settings: Settings, decoder: str = "pillow", on_disk: bool = False) -> Figures:
    """Time reading in worker processes, up to the batch in the training process.

    Args:
        settings: The benchmark's settings.
        decoder: See `data.square_reader.SquareReader`.
        on_disk: Whether to read decoded images from the cache on disk.
    """
    import torch

    from mobilenet_lab.data.datasets.image_folder import image_folder
    from mobilenet_lab.data.disk_cache import on_disk as kept_on_disk
    from mobilenet_lab.data.loader import batch_loader
    from mobilenet_lab.data.sampler import BatchSampler
    from mobilenet_lab.data.splits import IndexRange

    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = str(settings.work / "cache")
    source = image_folder(str(photo_folder(settings)), SIZE, channels=3, decoder=decoder)
    dataset = source.open("train")
    sampler = BatchSampler(IndexRange(0, len(dataset)), BATCH_SIZE)
    loader = batch_loader(
        kept_on_disk(dataset) if on_disk else dataset, sampler, num_workers=available_cores()
    )

    def read_epoch() -> None:
        assert sum(len(batch["labels"]) for batch in loader) == FILES

    return _time_epochs(read_epoch)


def decode_photos(settings: Settings, resize: bool = True) -> Figures:
    """Time a loop over the same files with Pillow, in one process per core.

    Args:
        settings: The benchmark's settings.
        resize: Whether to resize and crop the images, or to decode them only.
    """
    files = sorted(map(str, photo_folder(settings).glob("*/*.jpg")))
    cores = available_cores()
    with multiprocessing.Pool(cores) as pool:
        decode = partial(_decode_all, resize=resize)
        shares = [files[i::cores] for i in range(cores)]
        return _time_epochs(lambda: pool.map(decode, shares, chunksize=1))


def _decode_all(files: list[str], resize: bool) -> int:
    import numpy as np
    from PIL import Image

    total = 0
    for file in files:
        with Image.open(io.BytesIO(Path(file).read_bytes())) as image:
            photo = image.convert("RGB")
        if resize:
            width = SIZE * WIDTH // HEIGHT
            left = (width - SIZE) // 2
            photo = photo.resize((width, SIZE), Image.Resampling.BILINEAR)
            photo = photo.crop((left, 0, left + SIZE, SIZE))
        total += np.asarray(photo).size
    return total


def _time_epochs(read_epoch: Callable[[], object]) -> Figures:
    """Time some epochs after one that starts the processes and fills caches; return the fastest."""
    read_epoch()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        read_epoch()
        seconds.append(time.perf_counter() - began)
    return throughput(FILES, min(seconds))

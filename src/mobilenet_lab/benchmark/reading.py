"""Data reading: shuffled batches on one core."""

from typing import Any

from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.benchmark.timing import anonymous_memory_mb, time_second_run


def loader(settings: Settings) -> Figures:
    """Time reading MNIST."""
    from mobilenet_lab.data.datasets.mnist import mnist

    return _time_loader(mnist(str(settings.data)), settings.batch_size)


def loader_large(settings: Settings) -> Figures:
    """Time reading six million images."""
    from mobilenet_lab.data.datasets.mnist import idx_folder

    folder = settings.work / "large"
    with (folder / "train-images-idx3-ubyte").open("rb") as file:  # fill the page cache, as for MNIST
        while file.read(1 << 24):
            pass
    return _time_loader(idx_folder(str(folder)), settings.batch_size)


def _time_loader(source: Any, batch_size: int) -> Figures:
    import torch

    from mobilenet_lab.data.loader import batch_loader
    from mobilenet_lab.data.sampler import BatchSampler
    from mobilenet_lab.data.splits import split_dataset

    torch.set_num_threads(1)
    subset = split_dataset(source, 0, None, 0)["train"]
    before = anonymous_memory_mb()
    batches = batch_loader(subset.dataset, BatchSampler(subset.index_range, batch_size))

    def read_epoch() -> None:
        count = sum(len(batch["labels"]) for batch in batches)
        assert count == len(subset)

    figures = time_second_run(read_epoch, len(subset))
    return figures | {"anonymous_memory_mb": anonymous_memory_mb() - before}

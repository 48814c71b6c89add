"""A data set's parts as loaders of whole batches, without Lightning.

A batch is the unit of reading: the sampler asks for a batch, the images answer with one read.
"""

import signal

from torch.utils.data import DataLoader, Dataset

from mobilenet_lab.data.datasets.base import Batch, ImageDataset
from mobilenet_lab.data.sampler import BatchRequest, BatchSampler


class BatchDataset(Dataset[Batch]):
    """Answers a request for a batch with the batch."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, request: BatchRequest) -> Batch:
        images, labels = self.dataset.read(request.indices)
        return {"images": images, "labels": labels, "seed": request.seed}

    def __len__(self) -> int:
        return len(self.dataset)


def batch_loader(
    dataset: ImageDataset, sampler: BatchSampler, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """A loader that yields the sampler's batches; with workers, each decodes whole batches."""
    return DataLoader(
        BatchDataset(dataset),
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_the_main_process if num_workers else None,
    )


def _leave_signals_to_the_main_process(worker: int) -> None:
    """What a terminal or a cluster sends goes to workers, too, whose batches the last step may yet need.

    The loader itself ends a worker that does not listen with SIGTERM: the second ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))

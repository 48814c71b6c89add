"""A PyTorch data loader that reads whole batches."""

import signal

from torch.utils.data import DataLoader, Dataset

from mobilenet_lab.data.datasets.base import Batch, ImageDataset
from mobilenet_lab.data.sampler import BatchRequest, BatchSampler


class BatchDataset(Dataset[Batch]):
    """A data set whose items are batches, indexed by `BatchRequest`."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, request: BatchRequest) -> Batch:
        images, labels = self.dataset.read(request.indices)
        return {"images": images, "labels": labels, "seed": request.seed}

    def __len__(self) -> int:
        return len(self.dataset)


class _Loader(DataLoader[Batch]):
    """A DataLoader that does not warn about more workers than cores, which PyTorch does in every epoch.

    `training.hardware_checks` says it once, and not about the default of a small machine.
    """

    def check_worker_number_rationality(self) -> None:
        """Accept any number of workers."""


def batch_loader(
    dataset: ImageDataset, sampler: BatchSampler, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """Return a loader of the sampler's batches; each worker reads whole batches."""
    return _Loader(
        BatchDataset(dataset),
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_ignore_signals if num_workers else None,
    )


def _ignore_signals(worker_id: int) -> None:
    """Keep a worker alive after SIGINT and the first SIGTERM.

    Terminals and clusters send these to workers as well, but the step in progress may still need their
    batches. The loader ends a worker that does not stop by itself with SIGTERM, which is then the second one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))

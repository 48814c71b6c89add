"""A PyTorch data loader that reads whole batches."""

import time
from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset

from mobilenet_lab.data.datasets.base import Batch, ImageDataset
from mobilenet_lab.data.sampler import BatchRequest, BatchSampler
from mobilenet_lab.data.workers import Workers


class BatchDataset(Dataset[Batch]):
    """A data set whose items are batches, indexed by `BatchRequest`."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, request: BatchRequest) -> Batch:
        images, labels = self.dataset.read(request.indices)
        return {"images": images, "labels": labels, "seed": request.seed}

    def __len__(self) -> int:
        return len(self.dataset)


class BatchLoader(DataLoader[Batch]):
    """A DataLoader with worker processes of its own, which last as long as the loader.

    It does not warn about more workers than cores, as PyTorch does in every epoch.
    `training.hardware_checks` says it once, and not about the default of a small machine.

    Attributes:
        wait_seconds: Time that the training process has waited for batches, or read them itself.
    """

    wait_seconds = 0.0

    # Lightning sets this attribute to None when a loop ends, which ends the workers.
    _iterator: Workers | None  # type: ignore[assignment]

    def check_worker_number_rationality(self) -> None:
        """Accept any number of workers."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        batches = self._read_ahead() if self.num_workers else super().__iter__()
        began = time.perf_counter()
        for batch in batches:
            self.wait_seconds += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def _read_ahead(self) -> Iterator[Batch]:
        """Start the workers with the first batch: Lightning cannot report an error of `iter`."""
        assert isinstance(self.dataset, BatchDataset)
        if self._iterator is None or self._iterator.is_closed:
            self._iterator = Workers(self.dataset.dataset, self.num_workers)
        yield from self._iterator.read(iter(self.sampler), self.pin_memory)


def batch_loader(
    dataset: ImageDataset, sampler: BatchSampler, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """Return a loader of the sampler's batches; each worker reads whole batches."""
    return BatchLoader(
        BatchDataset(dataset),
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
    )

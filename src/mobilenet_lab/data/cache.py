"""Keep all images of a data set in memory, or on the training device.

A memory-mapped file is as fast as memory. A cache therefore pays off for folders, whose images are decoded
only once, and on GPUs, where batches are gathered without leaving the device.
"""

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mobilenet_lab.data.datasets.base import ImageDataset
from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.memory import free_memory

CHUNK = 256  # images per read
PROGRESS_AFTER_S = 2.0  # reading for longer shows a progress bar
MAX_SHARE_OF_DEVICE = 0.25  # of the free memory that "auto" uses; the rest is for the network


class InMemoryDataset:
    """Images and labels as two tensors on one device.

    Args:
        images: uint8, shape (N, C, H, W).
        labels: int64, shape (N,).
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read a batch on the device: images, uint8, (n, C, H, W), and labels, int64, (n,)."""
        positions = torch.from_numpy(indices)
        if self.images.is_cuda:  # a copy from pinned memory does not wait for the device
            positions = positions.pin_memory().to(self.images.device, non_blocking=True)
        else:
            positions = positions.to(self.images.device)
        return self.images.index_select(0, positions), self.labels.index_select(0, positions)

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        """Read labels without images: int64, shape (n,)."""
        return self.labels.cpu().numpy()[indices]


def choose_cache(cache: str, dataset: ImageDataset, device: torch.device, num_workers: int) -> str:
    """Resolve "auto": "device" on a GPU that has room for all images if there are no workers, else "mmap"."""
    if cache != "auto":
        return cache
    fits = device.type == "cuda" and size_in_bytes(dataset) <= MAX_SHARE_OF_DEVICE * free_memory(device)
    return "device" if fits and num_workers == 0 else "mmap"


def load_all(dataset: ImageDataset, device: torch.device, num_workers: int = 0) -> InMemoryDataset:
    """Read a whole data set into a device's memory. Every process of a distributed run keeps its own copy.

    Raises:
        InputError: The device has too little memory.
    """
    needed, free = size_in_bytes(dataset), free_memory(device)
    if needed > free:
        raise InputError(
            f"data.cache: {len(dataset):,} images take {needed / 1e9:.1f} GB, but {device.type} has "
            f"{free / 1e9:.1f} GB free; use data.cache=mmap"
        )
    images = labels = torch.empty(0)
    done = 0
    sampler = BatchSampler(IndexRange(0, len(dataset)), CHUNK, shuffle=False)
    loader = batch_loader(dataset, sampler, num_workers)
    bar = tqdm(
        total=len(dataset), unit=" images", desc="reading", delay=PROGRESS_AFTER_S, leave=False, disable=None
    )
    with bar:
        for batch in loader:
            if not done:
                shape = (len(dataset), *batch["images"].shape[1:])
                images = torch.empty(shape, dtype=torch.uint8, device=device)
                labels = torch.empty(len(dataset), dtype=torch.int64, device=device)
            end = done + len(batch["labels"])
            images[done:end], labels[done:end] = batch["images"], batch["labels"]
            bar.update(end - done)
            done = end
    return InMemoryDataset(images, labels)


def size_in_bytes(dataset: ImageDataset) -> int:
    """Return the size of all images, as read, from the size of the first one."""
    if not len(dataset):
        return 0
    return len(dataset) * dataset.read(np.array([0]))[0].numel()

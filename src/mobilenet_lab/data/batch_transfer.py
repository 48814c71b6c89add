"""Hand batches from a worker process to the process that trains.

Images travel through memory that both processes map. It is anonymous (`memfd_create`), so /dev/shm, which has
64 MB in a container by default, is not used, and nothing remains when a process is killed. Where the system
has no such memory, images travel through the connection.
"""

import errno
import mmap
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle

import numpy as np
import torch
from torch import Tensor

from mobilenet_lab.data.datasets.base import Batch
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.stop_request import raise_if_requested

POLL_S = 0.5
READ_AHEAD = 2  # batches per worker that are read before they are needed


@dataclass(frozen=True)
class Header:
    """Describes a batch; its images follow in shared memory unless they are part of it.

    Attributes:
        shape: Shape of the images.
        labels: int64, shape (N,).
        seed: Seed of the batch.
        slot: Index of the shared memory.
        new_size: Size in bytes of new memory for the slot, whose descriptor follows; 0 if it stays the same.
        images: The images if they are not in shared memory.
    """

    shape: tuple[int, ...]
    labels: np.ndarray
    seed: int
    slot: int = 0
    new_size: int = 0
    images: np.ndarray | None = None


class BatchSender:
    """The worker's end. A slot is written again only when the receiver has copied its last batch.

    Args:
        connection: The connection to the receiver.
        receiver: Process id of the receiver.
    """

    def __init__(self, connection: Connection, receiver: int) -> None:
        self._connection = connection
        self._receiver = receiver
        self._slots: list[np.ndarray] = [np.empty(0, np.uint8)] * READ_AHEAD
        self._sent = 0

    def send(self, batch: Batch) -> None:
        """Send a batch of uint8 images.

        Raises:
            InputError: There is no memory for it; nothing has been sent.
            ConnectionError: The receiver is gone.
        """
        images, labels, seed = batch["images"].numpy(), batch["labels"].numpy(), batch["seed"]
        assert images.dtype == np.uint8, f"images are {images.dtype}, see data.datasets.base"
        if not hasattr(os, "memfd_create"):
            self._connection.send(Header(images.shape, labels, seed, images=images))
            return
        slot = self._sent % READ_AHEAD
        new = _Memory(images.nbytes) if images.nbytes > self._slots[slot].nbytes else None
        self._connection.send(Header(images.shape, labels, seed, slot, images.nbytes if new else 0))
        if new:
            send_handle(self._connection, new.descriptor, self._receiver)
            os.close(new.descriptor)
            self._slots[slot] = new.array
        np.copyto(self._slots[slot][: images.nbytes].reshape(images.shape), images)
        self._connection.send_bytes(b"")  # the images are complete
        self._sent += 1


class _Memory:
    """Memory that another process can map, too."""

    def __init__(self, size: int) -> None:
        try:
            self.descriptor = os.memfd_create("batch")
            os.ftruncate(self.descriptor, size)
            self.array = np.frombuffer(mmap.mmap(self.descriptor, size), np.uint8)
        except OSError as error:
            raise InputError(
                f"data.num_workers: a worker cannot share a batch of {size / 1e6:.1f} MB: {error.strerror}; "
                "use fewer workers or a smaller data.batch_size"
            ) from error


class BatchReceiver:
    """The training process's end.

    Args:
        connection: The connection to the sender.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._slots: dict[int, Tensor] = {}

    def receive(self, pin_memory: bool) -> Batch | Exception:
        """Wait for the next batch, or the error that was sent in its place.

        Args:
            pin_memory: Whether to place the images in pinned memory, for a GPU.

        Raises:
            EOFError, ConnectionError: The sender has ended.
            OSError: This process cannot open another file, or has no memory.
            RunInterrupted: A signal asked the run to stop, and no batch has come since.
        """
        while not self._connection.poll(POLL_S):
            raise_if_requested("a worker")
        header = self._connection.recv()
        if isinstance(header, Exception):
            return header
        labels = torch.from_numpy(header.labels)
        if header.images is None:
            images = self._copy_of(header, pin_memory)
        else:
            images = torch.from_numpy(header.images)
            images = images.pin_memory() if pin_memory else images
        return {
            "images": images,
            "labels": labels.pin_memory() if pin_memory else labels,
            "seed": header.seed,
        }

    def _copy_of(self, header: Header, pin_memory: bool) -> Tensor:
        if header.new_size:
            self._slots[header.slot] = self._map(header.new_size)
        images = torch.empty(header.shape, dtype=torch.uint8, pin_memory=pin_memory)
        self._connection.recv_bytes()
        images.view(-1).copy_(self._slots[header.slot][: images.numel()])
        return images

    def _map(self, size: int) -> Tensor:
        try:
            descriptor = recv_handle(self._connection)
        except RuntimeError as error:  # the kernel drops a descriptor for which this process has no room
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
        try:
            return torch.frombuffer(mmap.mmap(descriptor, size), dtype=torch.uint8)
        finally:
            os.close(descriptor)

"""Processes that read batches ahead of training.

They replace those of PyTorch's DataLoader, which leave a run waiting for ever in several cases: when /dev/shm
is full, when a worker dies while it holds the lock of their common queue, and at the exit of a process whose
queue nobody reads. Here every worker has a connection of its own, and the death of either process closes it.
"""

import atexit
import multiprocessing.util  # registers its exit function, which waits for workers, before ours
import os
import signal
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from mobilenet_lab.data.batch_transfer import READ_AHEAD, BatchReceiver
from mobilenet_lab.data.datasets.base import Batch, ImageDataset
from mobilenet_lab.data.sampler import BatchRequest
from mobilenet_lab.data.worker_process import SIGNALS, serve
from mobilenet_lab.runtime.errors import InputError

END_S = 1.0  # a killed process ends within this time, unless it waits for a disk
ADVICE = {
    signal.SIGKILL: "perhaps because memory ran out; use fewer workers or a smaller data.batch_size",
    signal.SIGBUS: "because memory ran out or a file shrank; use fewer workers or a smaller data.batch_size",
}
OTHER_ADVICE = "perhaps because of a damaged image; use data.on_corrupt_image=skip or data.num_workers=0"


class WorkerError(InputError):
    """A worker process could not be started, or has died."""


class Workers:
    """Processes that read batches, which arrive in the order of their requests.

    The processes end with the object, or with the training process, however that ends.

    Args:
        dataset: What the workers read.
        count: Number of workers.

    Attributes:
        is_closed: Whether the workers have ended.

    Raises:
        WorkerError: The system does not allow that many processes or open files.
    """

    def __init__(self, dataset: ImageDataset, count: int) -> None:
        self.count = count
        self.is_closed = False
        self._processes: list[BaseProcess] = []
        self._connections: list[Connection] = []
        self._receivers: list[BatchReceiver] = []
        self._pending: deque[int] = deque()  # the worker of each request without an answer
        self._iterations = 0
        self._owner = os.getpid()
        _open.add(self)
        try:
            for index in range(count):
                self._start(dataset, index)
        except OSError as error:
            self.close()
            raise WorkerError(
                f"data.num_workers={count}: cannot start worker {index}: {error.strerror}; use fewer workers "
                "or raise the limits of the system, see ulimit -n and ulimit -u"
            ) from error

    def read(self, requests: Iterator[BatchRequest], pin_memory: bool) -> Iterator[Batch]:
        """Read batches ahead, from now on; an earlier iteration ends.

        Args:
            requests: What to read, in this order.
            pin_memory: Whether to place images in pinned memory, for a GPU.

        Raises:
            WorkerError: A worker has died.
        """
        while self._pending:
            self._receive(pin_memory=False)
        self._iterations += 1
        turns = iter(range(self.count * READ_AHEAD))
        for turn, request in zip(turns, requests, strict=False):
            self._send(turn % self.count, request)
        return self._batches(requests, pin_memory, self._iterations)

    def close(self) -> None:
        """End the workers."""
        if self.is_closed:
            return
        self.is_closed = True
        self._pending.clear()
        _open.discard(self)
        self.close_connections()
        if os.getpid() != self._owner:  # a worker of another loader, which has inherited this object
            return
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join(END_S)

    def close_connections(self) -> None:
        """Close the connections, in this process."""
        for connection in self._connections:
            connection.close()

    def __del__(self) -> None:
        self.close()

    def _start(self, dataset: ImageDataset, index: int) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._connections.append(ours)
        self._receivers.append(BatchReceiver(ours))
        process = multiprocessing.Process(
            target=_run, args=(dataset, theirs, index, torch.initial_seed()), daemon=True
        )
        try:
            with _signals_blocked():
                process.start()
        finally:
            theirs.close()
        self._processes.append(process)

    def _batches(self, requests: Iterator[BatchRequest], pin_memory: bool, iteration: int) -> Iterator[Batch]:
        while self._pending and iteration == self._iterations:
            worker = self._pending[0]
            batch = self._receive(pin_memory)
            if isinstance(batch, Exception):
                raise batch
            if (request := next(requests, None)) is not None:
                self._send(worker, request)
            yield batch

    def _send(self, worker: int, request: BatchRequest) -> None:
        try:
            self._connections[worker].send(request)
        except ConnectionError as error:
            raise self._death_of(worker) from error
        self._pending.append(worker)

    def _receive(self, pin_memory: bool) -> Batch | Exception:
        worker = self._pending.popleft()
        try:
            return self._receivers[worker].receive(pin_memory)
        except (EOFError, ConnectionError) as error:
            raise self._death_of(worker) from error
        except OSError as error:
            if error.errno is None:  # the worker has died within a message
                raise self._death_of(worker) from error
            self.close()
            raise WorkerError(
                f"data.num_workers={self.count}: cannot receive a batch: {error.strerror}; use fewer "
                "workers or raise the limits of the system, see ulimit -n"
            ) from error
        except BaseException:  # an interrupt, after which the rest of a message would be in the connection
            self.close()
            raise

    def _death_of(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(END_S)
        code = process.exitcode
        if code is not None and code < 0:
            number = signal.Signals(-code)
            how = f"was killed by {number.name}, {ADVICE.get(number, OTHER_ADVICE)}"
        else:
            how = f"ended with exit code {code}; use data.num_workers=0 to see why"
        self.close()
        return WorkerError(f"data.num_workers={self.count}: worker {worker} {how}")


_open: weakref.WeakSet[Workers] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for workers in list(_open):
        workers.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold signals back until a new process has set how it handles them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(dataset: ImageDataset, connection: Connection, index: int, seed: int) -> None:
    """Run a worker, with signals blocked at first."""
    for workers in list(_open):  # inherited by fork, and would keep the connection of a worker open
        workers.close_connections()
    _open.clear()
    signal.set_wakeup_fd(-1)  # the file belongs to the training process
    serve(dataset, connection, index, seed)

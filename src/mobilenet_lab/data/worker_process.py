"""The side of a worker process: read what is requested, and send it."""

import os
import pickle
import queue
import random
import signal
import threading
import traceback
from multiprocessing.connection import Connection

import numpy as np
import torch

from mobilenet_lab.data.batch_transfer import BatchSender
from mobilenet_lab.data.datasets.base import Batch, ImageDataset
from mobilenet_lab.data.sampler import BatchRequest
from mobilenet_lab.runtime.errors import InputError

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def serve(dataset: ImageDataset, connection: Connection, index: int, seed: int) -> None:
    """Answer requests until the training process ends the connection.

    Terminals and clusters send signals to workers as well, but the step in progress may still need their
    batches. So a worker ignores them.

    Args:
        dataset: What to read.
        connection: The connection to the training process.
        index: Index of the worker.
        seed: Seed of the global generators, together with the index.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    random.seed(seed + index)
    np.random.seed((seed + index) % (1 << 32))  # noqa: NPY002 - a data set may draw from it
    torch.manual_seed(seed + index)
    requests: queue.SimpleQueue[BatchRequest] = queue.SimpleQueue()
    threading.Thread(target=_receive_requests, args=(connection, requests), daemon=True).start()
    sender = BatchSender(connection, os.getppid())
    while True:
        try:
            answer = _read(dataset, requests.get())
            if isinstance(answer, Exception):
                connection.send(answer)
            else:
                sender.send(answer)
        except InputError as error:
            connection.send(_portable(error))
        except ConnectionError:
            os._exit(0)  # the training process is gone


def _read(dataset: ImageDataset, request: BatchRequest) -> Batch | Exception:
    """Read a batch; return an error of any kind, which the training process raises."""
    try:
        images, labels = dataset.read(request.indices)
    except Exception as error:
        return _portable(error)
    return {"images": images, "labels": labels, "seed": request.seed}


def _receive_requests(connection: Connection, requests: "queue.SimpleQueue[BatchRequest]") -> None:
    """Take requests from the connection at once, so that the training process never waits to send one."""
    try:
        while True:
            requests.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # the training process is gone


def _portable(error: Exception) -> Exception:
    """Return the error with the worker's traceback as a note, or only its text if it cannot be sent."""
    trace = "".join(traceback.format_exception(error))
    error.add_note(f"Worker {trace}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the error's class does
        return RuntimeError(trace)
    return error

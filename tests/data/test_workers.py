"""Worker processes: order, errors, death, and their end."""

import faulthandler
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import wait_for
from torch import Tensor

from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchRequest, BatchSampler
from mobilenet_lab.data.splits import IndexRange
from mobilenet_lab.data.workers import WorkerError, Workers
from mobilenet_lab.runtime import stop_request
from mobilenet_lab.runtime.errors import InputError, RunInterrupted

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
FAILING = 13


class Numbers:
    """Images of one pixel that hold their index; reading image 13 does what the test asks for."""

    def __init__(self, fail: object = None, length: int = 40, pixels: int = 1) -> None:
        self.fail = fail
        self.length = length
        self.pixels = pixels

    def __len__(self) -> int:
        return self.length

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        if self.fail is not None and FAILING in indices:
            if isinstance(self.fail, Exception):
                raise self.fail
            faulthandler.disable()  # pytest's, which would print a traceback of the crash
            os.kill(os.getpid(), int(str(self.fail)))
        labels = torch.from_numpy(indices).long()
        pixels = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, self.pixels, 1)
        return pixels, labels

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        return indices


def requests(count: int, size: int = 1) -> Iterator[BatchRequest]:
    return (BatchRequest(np.arange(i * size, (i + 1) * size), seed=i) for i in range(count))


@pytest.fixture
def open_workers() -> Iterator[list[Workers]]:
    opened: list[Workers] = []
    yield opened
    for workers in opened:
        workers.close()


def test_batches_arrive_in_order_and_an_abandoned_epoch_leaves_no_trace() -> None:
    loader = batch_loader(Numbers(), BatchSampler(IndexRange(0, 40), 3, shuffle=False), num_workers=3)
    abandoned = iter(loader)
    assert next(abandoned)["labels"].tolist() == [0, 1, 2]
    kept = list(loader)  # the memory of a batch is not written again
    assert [batch["labels"].tolist() for batch in kept[:2]] == [[0, 1, 2], [3, 4, 5]]
    assert torch.cat([batch["labels"] for batch in kept]).tolist() == list(range(40))
    assert torch.cat([batch["images"].flatten() for batch in kept]).tolist() == list(range(40))
    assert list(abandoned) == []


def test_a_batch_larger_than_those_before_arrives_whole(open_workers: list[Workers]) -> None:
    workers = Workers(Numbers(length=9), 1)
    open_workers.append(workers)
    sizes = (BatchRequest(np.arange(size), 0) for size in (1, 1, 5, 2, 9, 9, 3))
    assert [batch["images"].flatten().tolist() for batch in workers.read(sizes, False)] == [
        list(range(size)) for size in (1, 1, 5, 2, 9, 9, 3)
    ]


def test_images_pass_through_the_connection_without_shared_memory(
    open_workers: list[Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    workers = Workers(Numbers(pixels=300_000), 2)  # more than the buffer of a socket
    open_workers.append(workers)
    batches = list(workers.read(requests(8), False))
    assert [batch["images"].shape[2] for batch in batches] == [300_000] * 8
    assert [int(batch["images"][0, 0, -1, 0]) for batch in batches] == list(range(8))


def test_error_of_a_worker_is_raised_in_its_turn_with_its_class_and_attributes(
    open_workers: list[Workers],
) -> None:
    for error in (InputError("a.png: damaged"), PermissionError(13, "Permission denied", "a.png")):
        workers = Workers(Numbers(error), 2)
        open_workers.append(workers)
        read = []
        with pytest.raises(type(error)) as caught:
            read += [batch["seed"] for batch in workers.read(requests(20), False)]
        assert str(caught.value) == str(error)
        assert "in read" in caught.value.__notes__[0]
        assert getattr(caught.value, "filename", None) == getattr(error, "filename", None)
        assert len(list(workers.read(requests(5), False))) == 5  # it has not died


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (signal.SIGKILL, "perhaps because memory ran out; use fewer workers or a smaller data.batch_size"),
        (signal.SIGSEGV, "perhaps because of a damaged image; use data.on_corrupt_image=skip or"),
        (signal.SIGBUS, "because memory ran out"),
    ],
)
def test_dead_worker_is_one_line_at_once(number: int, advice: str) -> None:
    workers = Workers(Numbers(int(number)), 2)
    start = time.monotonic()
    name = signal.Signals(number).name
    with pytest.raises(WorkerError, match=rf"data\.num_workers=2: worker 1 was killed by {name}, {advice}"):
        list(workers.read(requests(20), False))
    assert time.monotonic() - start < 5
    assert workers.is_closed


def test_worker_that_dies_within_a_message_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    workers = Workers(Numbers(pixels=5_000_000), 2)
    batches = workers.read(requests(8), False)
    next(batches)
    time.sleep(0.2)  # the worker waits for space in the socket
    for process in workers._processes:
        process.kill()
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(batches)


def test_workers_ignore_the_signals_that_stop_a_run(open_workers: list[Workers]) -> None:
    workers = Workers(Numbers(), 2)
    open_workers.append(workers)
    batches = workers.read(requests(20), False)
    for _ in range(2):
        next(batches)
        for process in workers._processes:
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(process.pid or 0, number)
    assert len(list(batches)) == 18


def test_interrupt_while_waiting_ends_the_workers(open_workers: list[Workers]) -> None:
    workers = Workers(Numbers(int(signal.SIGSTOP)), 1)  # stops itself: never answers
    open_workers.append(workers)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(workers.read(requests(20), False))
    finally:
        signal.signal(signal.SIGINT, before)
    assert workers.is_closed
    wait_for(lambda: not any(process.is_alive() for process in workers._processes), 5)


def test_stop_request_ends_the_wait_for_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_request, "PATIENCE_S", 0.1)
    workers = Workers(Numbers(int(signal.SIGSTOP)), 1)
    stop_request.request_stop(143)
    try:
        with pytest.raises(RunInterrupted, match="terminated while waiting for a worker"):
            list(workers.read(requests(20), False))
    finally:
        stop_request.withdraw_request()
    assert workers.is_closed


def test_too_few_files_are_one_line_and_leave_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    free = [number for number in range(len(used) + 9) if number not in used]
    before = set(Path("/proc/self/task").glob("*/children"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[7], hard))
    try:
        with pytest.raises(WorkerError, match=r"data\.num_workers=8: cannot start worker \d: Too many open"):
            Workers(Numbers(), 8)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(Path("/proc/self/task").glob("*/children")) == before


@pytest.mark.run
@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
def test_no_worker_outlives_the_training_process(end: str, tmp_path: Path) -> None:
    """The loaders are alive at the end, and workers ignore SIGTERM: the exit must not wait for them."""
    (tmp_path / "script.py").write_text(
        "import os, sys\n"
        "from test_workers import Numbers, batch_loader, BatchSampler, IndexRange\n"
        "loaders = [batch_loader(Numbers(), BatchSampler(IndexRange(0, 40), 3), 2) for _ in range(2)]\n"
        "batches = [iter(loader) for loader in loaders]\n"
        "[next(one) for one in batches]\n"
        "print(*(p.pid for loader in loaders for p in loader._iterator._processes), flush=True)\n"
        f"{end}\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    pids = done.stdout.split()
    assert len(pids) == 4, done.stderr
    wait_for(lambda: not any(_runs(pid) for pid in pids), 5)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

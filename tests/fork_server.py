"""Run the root scripts in processes forked from one that has already imported PyTorch and Lightning.

Importing the training code takes about three seconds of CPU time, and the tests start hundreds of scripts.
Each pytest worker therefore starts one server. It imports `PRELOADED` once, forks for every call, and runs
the script as `__main__` in the child. The server ends when the worker does, however that ends.

The child's exit code, output, signals and limits are its own. It differs from a process that `subprocess`
starts in four ways:

- Its modules are already imported, so it says nothing about missing imports or start-up time.
- Its hash seed is the server's.
- It exits without taking down its modules.
- Variables that are only read at start-up have no effect; `ForkServer.can_run` says whether it matters.

NumPy's OpenBLAS restarts its threads after a fork, and PyTorch starts none before the first operation that
needs them. The server runs no such operation, so its children have the default number of threads.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]

# What the root scripts import before they train, predict, evaluate or export, or while they do
PRELOADED = (
    "mobilenet_lab.cli.main",
    "mobilenet_lab.training.run",
    "mobilenet_lab.inference.predict",
    "mobilenet_lab.inference.evaluate",
    "mobilenet_lab.export.run",
    "hydra._internal.hydra",
    "matplotlib.backends.backend_agg",
    "torch.utils.tensorboard",
    "tensorboard.plugins.hparams.summary_v2",
)
READ_AT_START = (
    "CUDA", "CXX", "KMP", "LANG", "LC_", "LD_", "MALLOC", "MKL", "MPL", "OMP", "OPENBLAS", "PYTHON", "TORCH",
)  # fmt: skip
REPORT = struct.Struct("<i")  # first the child's process id, then its exit code
LENGTH = struct.Struct("<I")


class ForkedProcess:
    """A running child, with the part of `subprocess.Popen`'s interface that the tests need."""

    def __init__(self, reports: int, arguments: Sequence[str]) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self._reports = reports
        self.pid = self._read()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process runs."""
        if self.returncode is None and select.select([self._reports], [], [], 0)[0]:
            self.returncode = self._read()
            os.close(self._reports)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code.

        Raises:
            subprocess.TimeoutExpired: The process still runs.
        """
        if self.returncode is None and not select.select([self._reports], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process is known to have ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read(self) -> int:
        report = os.read(self._reports, REPORT.size)
        if len(report) != REPORT.size:
            raise RuntimeError("the fork server has ended")
        return int(REPORT.unpack(report)[0])


class ForkServer:
    """Starts the server on first use and asks it for children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._imported: dict[str, str] = {}  # the variables that imports set

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Return whether a child with this environment behaves as a new process would."""
        self._start()
        differing = {name for name, _ in self._environment.items() ^ environment.items()} - {"PYTHONPATH"}
        return not any(
            name.startswith(READ_AT_START) and environment.get(name) != self._imported.get(name)
            for name in differing
        )

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        limits: Mapping[int, int] | None = None,
    ) -> ForkedProcess:
        """Start a script in a child.

        Args:
            arguments: The script's path and its arguments.
            cwd: The working directory.
            env: The whole environment.
            stdout: A file descriptor.
            stderr: A file descriptor.
            stdin: A file descriptor; None reads nothing.
            limits: Values for `resource.setrlimit`, by resource.
        """
        self._start()
        assert self._control is not None
        order = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "limits": limits or {}}
        content = json.dumps(order).encode()
        reports, writes = os.pipe()
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, writes)
            if stdin is None:
                stdin = os.open(os.devnull, os.O_RDONLY)
                opened.callback(os.close, stdin)
            with self._lock:
                socket.send_fds(self._control, [LENGTH.pack(len(content))], [stdin, stdout, stderr, writes])
                self._control.sendall(content)
        return ForkedProcess(reports, arguments)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        input: str | bytes | None = None,
        timeout: float | None = None,
        limits: Mapping[int, int] | None = None,
    ) -> subprocess.CompletedProcess[Any]:
        """Run a script in a child, as `subprocess.run` with `capture_output=True` and `text=True`.

        The output is bytes if the input is. `start` describes the arguments.

        Raises:
            subprocess.TimeoutExpired: The child ran longer than `timeout` seconds and was killed.
        """
        pipes: dict[str, tuple[int, int]] = {name: os.pipe() for name in ("stdout", "stderr")}
        ends = {name: pair[1] for name, pair in pipes.items()}
        if input is not None:
            pipes["stdin"] = os.pipe()
            ends["stdin"] = pipes["stdin"][0]
        try:
            process = self.start(arguments, cwd=cwd, env=env, limits=limits, **ends)
        finally:
            for end in ends.values():
                os.close(end)
        outputs = {name: _Reader(pipes[name][0]) for name in ("stdout", "stderr")}
        if input is not None:
            content = input.encode() if isinstance(input, str) else input
            threading.Thread(target=_write, args=(pipes["stdin"][1], content), daemon=True).start()
        until = None if timeout is None else time.monotonic() + timeout
        try:
            for output in outputs.values():
                output.join(None if until is None else max(0, until - time.monotonic()))
                if output.is_alive():
                    raise subprocess.TimeoutExpired(process.args, timeout or 0)
            code = process.wait(None if until is None else max(0, until - time.monotonic()))
        except BaseException:
            process.kill()
            process.wait()
            raise
        texts: list[Any] = [output.content for output in outputs.values()]
        if not isinstance(input, bytes):
            texts = [text.decode().replace("\r\n", "\n").replace("\r", "\n") for text in texts]
        return subprocess.CompletedProcess(process.args, code, *texts)

    def _start(self) -> None:
        if self._control is not None:
            return
        ours, theirs = socket.socketpair()
        # Its own streams are pipes, so that Python buffers as in a process whose output is captured.
        server = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=self._environment,
        )
        theirs.close()
        if not (ready := ours.recv(1 << 16)):
            raise RuntimeError(f"the fork server ended with exit code {server.wait()}")
        self._imported = json.loads(ready)
        self._control = ours
        atexit.register(_end, ours, server)


def _end(control: socket.socket, server: "subprocess.Popen[bytes]") -> None:
    control.shutdown(socket.SHUT_RDWR)
    server.communicate()


class _Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self.content = b""
        self._file: IO[bytes] = open(descriptor, "rb")  # noqa: SIM115 - closed where it is read
        self.start()

    def run(self) -> None:
        with self._file:
            self.content = self._file.read()


def _write(descriptor: int, content: bytes) -> None:
    """Write to a pipe that may be closed before all is read."""
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as file:
        file.write(content)


# Tests run side by side, and threads that wait would take the cores from others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SERVER = ForkServer()


def _serve(control: socket.socket, imported: Mapping[str, str]) -> dict[str, Any]:
    """Fork for every order; return in the child, with the order, when its standard streams are in place.

    Between the server and a child stands a keeper, which waits for the child and reports its exit code.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the pytest worker, too
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    control.sendall(json.dumps(imported).encode())
    while True:
        head, descriptors, *_ = socket.recv_fds(control, LENGTH.size, 4)
        if not head:
            raise SystemExit
        content = bytearray()
        while len(content) < LENGTH.unpack(head)[0]:
            content += control.recv(1 << 16)
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, reports = descriptors
    if pid := os.fork():
        for descriptor in streams:
            os.close(descriptor)
        os.write(reports, REPORT.pack(pid))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(reports, REPORT.pack(code))
        os._exit(0)
    os.close(reports)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return json.loads(content)  # type: ignore[no-any-return]


def _become_new(order: Mapping[str, Any], imported: Mapping[str, str], path: Sequence[str]) -> None:
    """Set up the rest as a new Python process has it.

    Args:
        order: What `ForkServer.start` sends.
        imported: The variables that imports set.
        path: `sys.path` without the script's folder and without PYTHONPATH.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update({**imported, **order["env"]})
    sys.argv[:] = order["arguments"]
    sys.orig_argv[:] = [sys.executable, *order["arguments"]]
    extra = [folder for folder in order["env"].get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:] = [str(Path(sys.argv[0]).parent), *extra, *path]
    np.random.seed()  # noqa: NPY002 - Python's own generator seeds itself after a fork, these do not
    torch.default_generator.seed()
    for number, value in order["limits"].items():
        resource.setrlimit(int(number), (value, value))
    gc.enable()


class _QuickExit:
    """Ends a child without taking down its modules, a third of a second's work, once all else is done.

    The interpreter has printed the error, waited for threads and called every other exit function by then.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        atexit.register(self._leave)  # the first to be registered is the last to be called

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._code = 0
        elif not isinstance(error, SystemExit):
            self._code = None if isinstance(error, KeyboardInterrupt) else 1  # None: ends by the signal
        elif error.code is None or isinstance(error.code, int):
            self._code = (error.code or 0) & 0xFF
        else:
            self._code = 1

    def _leave(self) -> None:
        if self._code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._code)


if __name__ == "__main__":
    gc.disable()
    quick_exit = _QuickExit()
    fresh_path, fresh_environment = sys.path[1:], dict(os.environ)
    sys.path.insert(0, str(ROOT / "src"))
    for module in PRELOADED:
        importlib.import_module(module)
    gc.freeze()
    set_by_imports = dict(os.environ.items() - fresh_environment.items())
    child_order = _serve(socket.socket(fileno=int(sys.argv[1])), set_by_imports)
    _become_new(child_order, set_by_imports, fresh_path)
    with quick_exit:
        runpy.run_path(sys.argv[0], run_name="__main__")

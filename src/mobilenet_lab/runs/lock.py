"""The lock of a folder that one process writes to."""

import errno
import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mobilenet_lab.runtime.errors import InputError

log = logging.getLogger(__name__)

IN_USE = {errno.EACCES, errno.EAGAIN}
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
MAX_HOLDER_BYTES = 200


@contextmanager
def folder_lock(lock: Path, setting: str) -> Iterator[None]:
    """Hold the lock of a folder.

    The kernel releases the lock when the process ends, however that happens. It is a POSIX lock, because
    processes that this one forks, such as the workers of a data loader, do not inherit it, and because NFS
    supports it.

    Args:
        lock: The lock file. It is removed at the end.
        setting: `key=value` of the folder, for the message.

    Raises:
        InputError: Another process holds the lock, or the folder is not writable.
    """
    descriptor = _acquire(lock, setting)
    try:
        yield
    finally:
        with suppress(OSError):  # the file alone locks nothing
            lock.unlink()
        os.close(descriptor)


def _acquire(lock: Path, setting: str) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise InputError(
                f"{setting}: cannot write to the folder: {error.strerror}; use a folder that is writable"
            ) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in IN_USE | UNSUPPORTED:
                os.close(descriptor)
                raise
            if error.errno in IN_USE:
                holder = os.read(descriptor, MAX_HOLDER_BYTES).decode(errors="replace")
                os.close(descriptor)
                raise InputError(
                    f"{setting}: {_shown(holder)} is writing to this folder; wait until it ends, stop it, "
                    "or use another folder"
                ) from error
            log.warning(
                "%s: the file system has no locks; make sure that no other run writes to this folder", setting
            )
        if _is_current(descriptor, lock):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {platform.node()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # the holder before removed the file after it was opened here


def _is_current(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def _shown(holder: str) -> str:
    """Return "process 123 on host", or "another process" if the holder has not written its id yet."""
    process, _, host = holder.strip().partition(" ")
    return f"process {process} on {host}" if process.isdigit() and host.isprintable() else "another process"

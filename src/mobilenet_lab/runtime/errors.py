"""Errors that a user can fix, as opposed to bugs, and exit codes."""

import errno
import signal

EXIT_WRONG_INPUT = 2
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORDS = {130: "interrupted", 143: "terminated"}  # by exit code
DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# Faults of the machine, which no file is to blame for
MACHINE_ERRNOS = {
    errno.EAGAIN,
    errno.EIO,
    errno.EBUSY,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


class InputError(ValueError):
    """A file, a value or a combination of values that the user gave cannot be used.

    The message is one line, `key=value: what is wrong; what to do`. The scripts print it without a traceback.
    """


class RunInterrupted(Exception):  # noqa: N818 - not an error
    """A signal ended the run early.

    Args:
        message: One line for the user.
        exit_code: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

"""What a user can mend is told apart from our own bugs."""

import errno
import signal

EXIT_WRONG_INPUT = 2
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# No file is to blame for these.
MACHINE_FAULTS = {
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
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORDS = {130: "interrupted", 143: "terminated"}  # ranks that end with these codes have agreed on it


class InputError(ValueError):
    """A file, value or combination that the user gave cannot be used.

    The message is one line that names the culprit and the mend; the scripts print it alone.
    """


class RunInterrupted(Exception):  # noqa: N818 - it is no error
    """A signal ended the run before its time.

    Args:
        message: One line for the user.
        exit_code: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

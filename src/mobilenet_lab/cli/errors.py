"""Print errors that a user can fix as one line, and let bugs through with their traceback."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.cli.hydra_messages import explain_hydra_error, explain_instantiation, explain_value_error
from mobilenet_lab.cli.hydra_usage import usage_errors
from mobilenet_lab.runtime.errors import (
    DISK_FULL_ERRNOS,
    EXIT_WRONG_INPUT,
    MACHINE_ERRNOS,
    InputError,
    RunInterrupted,
)
from mobilenet_lab.runtime.job_error import record_error
from mobilenet_lab.runtime.text import printable

# System errors that are not about a path but that a user can fix; the rest are our bugs
USER_FIXABLE_ERRNOS = DISK_FULL_ERRNOS | MACHINE_ERRNOS | {errno.ELOOP, errno.ENAMETOOLONG}
USER_ERRORS = (
    InputError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
EXIT_INTERRUPTED = 130
# Packages that prediction with ONNX files works without, so that an environment may lack them, by module
PACKAGES = {
    "torch": "torch",
    "lightning": "lightning",
    "torchmetrics": "torchmetrics",
    "tensorboard": "tensorboard",
    "matplotlib": "matplotlib",
    "cv2": "opencv-python-headless",
}


@contextmanager
def task_errors() -> Iterator[None]:
    """Handle the errors of a script's task: exit in a single run, raise in a sweep.

    Hydra would add a line of its own to an error of a single run. In a sweep, the launcher needs the error to
    mark the job as failed.
    """
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        yield
    else:
        with one_line_errors():
            yield


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a user error as one line on standard error and exit; let bugs through."""
    try:
        with usage_errors():
            yield
    except KeyboardInterrupt:
        _exit("interrupted", EXIT_INTERRUPTED)
    except RunInterrupted as interrupted:
        _exit(str(interrupted), interrupted.exit_code)
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except InstantiationException as error:
        if (message := explain_instantiation(error, is_user_fixable)) is None:
            raise
        _exit(f"error: {message}", EXIT_WRONG_INPUT)
    except InputError as error:
        _exit(f"error: {error}", EXIT_WRONG_INPUT)
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        _exit(
            f"error: {Path(sys.argv[0]).name}: needs {PACKAGES[error.name]}, which is not installed; "
            "install it, or all packages of the project with pip install -e .",
            EXIT_WRONG_INPUT,
        )
    except (HydraException, OmegaConfBaseException) as error:  # some are an OSError, too
        if _is_interrupt(error):
            _exit("interrupted", EXIT_INTERRUPTED)
        _exit(f"error: {explain_hydra_error(error)}", EXIT_WRONG_INPUT)
    except OSError as error:
        if not is_user_fixable(error):
            raise
        _exit(f"error: {_explain_os_error(error)}", EXIT_WRONG_INPUT)
    except (ValueError, yaml.YAMLError) as error:
        if (message := explain_value_error(error)) is None:
            raise
        _exit(f"error: {message}", EXIT_WRONG_INPUT)


@contextmanager
def bugs_recorded() -> Iterator[None]:
    """Name the errors that `one_line_errors` lets through in the report of a sweep, too."""
    try:
        yield
    except Exception as error:
        record_error(f"{type(error).__name__}: {error}")
        raise


def is_user_fixable(error: BaseException) -> bool:
    """Return whether a user can fix the error."""
    is_fixable_errno = isinstance(error, OSError) and error.errno in USER_FIXABLE_ERRNOS
    return isinstance(error, USER_ERRORS) or is_fixable_errno


def _explain_os_error(error: OSError) -> str:
    if error.errno in DISK_FULL_ERRNOS:
        return f"cannot write {error.filename or 'the run'}: {error.strerror}; checkpoints are intact"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an interrupt caused the error: OmegaConf raises its own when it is interrupted."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _exit(message: str, code: int) -> None:
    record_error(message.removeprefix("error: "))
    print(printable(message), file=sys.stderr, flush=True)
    raise SystemExit(code)

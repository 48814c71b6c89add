"""Report how to resume a run that a signal or the death of a worker ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer

from mobilenet_lab.data.workers import WorkerError
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runtime.errors import EXIT_CODES, EXIT_WRONG_INPUT, WORDS, RunInterrupted
from mobilenet_lab.runtime.invocation import resume_command


@contextmanager
def report_interruption(trainer: Trainer, run: RunFolder) -> Iterator[None]:
    """Add the command that resumes the run to the error of an interrupted run.

    Raises:
        WorkerError: A worker has died.
        RunInterrupted: On rank 0, after a signal.
        SystemExit: On the other ranks, which stay silent.
    """
    try:
        yield
    except WorkerError as error:
        raise WorkerError(f"{error}; {_how_to_resume(run)}") from error
    except RunInterrupted as interrupted:
        message, code = str(interrupted), interrupted.exit_code
    except SystemExit as end:  # from Lightning after a signal, or from a rank that cannot continue
        if not trainer.interrupted or end.code == EXIT_WRONG_INPUT:
            raise
        code = EXIT_CODES[signal.SIGTERM if trainer.received_sigterm else signal.SIGINT]
        message = WORDS[code]
    else:
        return
    if not trainer.is_global_zero:
        raise SystemExit(code)
    raise RunInterrupted(f"{message}: {_how_to_resume(run)}", code)


def _how_to_resume(run: RunFolder) -> str:
    if run.last.is_file():
        return f"resume from its last checkpoint with {resume_command(run.path)}"
    return "there is no checkpoint yet"

"""One training run: from a checked configuration to a run folder with weights and results."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import Trainer

from mobilenet_lab.checkpoints.locate import LAST
from mobilenet_lab.runtime.errors import EXIT_CODES, EXIT_WRONG_INPUT, WORDS, RunInterrupted
from mobilenet_lab.runtime.invocation import resume_command


@contextmanager
def report_interruption(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Let a signal that ends the work say how to go on, once, and not once a rank."""
    try:
        yield
    except RunInterrupted as stopped:
        message, code = str(stopped), stopped.exit_code
    except SystemExit as end:  # Lightning's way to leave after a signal, and ours where ranks cannot go on
        if not trainer.interrupted or end.code == EXIT_WRONG_INPUT:
            raise
        code = EXIT_CODES[signal.SIGTERM if trainer.received_sigterm else signal.SIGINT]
        message = WORDS[code]
    else:
        return
    if not trainer.is_global_zero:
        raise SystemExit(code)
    if (folder / "checkpoints" / LAST).is_file():
        hint = f"go on from its last checkpoint with {resume_command(folder)}"
    else:
        hint = "there is no checkpoint yet"
    raise RunInterrupted(f"{message}: {hint}", code)

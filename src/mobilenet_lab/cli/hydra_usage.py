"""Turn Hydra's complaints about its own options into errors that the user can fix."""

from collections.abc import Iterator
from contextlib import contextmanager

from mobilenet_lab.runtime.errors import InputError

# Modules that read the options; for them Hydra raises plain ValueErrors, whose texts begin like this.
USAGE_ERRORS = {
    "hydra._internal.utils": ("The --resolve flag", "Only one of --run"),
    "hydra.main": ("File ", "Config overrides"),  # of --experimental-rerun
}


@contextmanager
def usage_errors() -> Iterator[None]:
    """Raise `InputError` for a wrong combination of Hydra's options."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(USAGE_ERRORS.get(_raised_in(error), ())):
            raise
        raise InputError(f"{' '.join(str(error).split()).rstrip('.!')}; see --hydra-help") from error


def _raised_in(error: BaseException) -> str:
    """Return the name of the module that raised an error."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__", ""))

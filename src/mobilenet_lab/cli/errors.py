"""What the scripts share: paths without quoting, errors as one line, sweeps as processes of their own."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.config.suggestions import compose_choices, suggest
from mobilenet_lab.runtime.errors import EXIT_WRONG_INPUT, FULL, MACHINE_FAULTS, InputError, RunInterrupted

# Of the system's errors those about a path, and those below; others are our own bugs
USER_FIXABLE_ERRNOS = FULL | MACHINE_FAULTS | {errno.ELOOP, errno.ENAMETOOLONG}


USER_ERRORS = (
    InputError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


EXIT_INTERRUPTED = 130


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a user's error as one line on standard error and exit; let our own bugs through."""
    try:
        yield
    except KeyboardInterrupt:
        _exit("interrupted", EXIT_INTERRUPTED)
    except RunInterrupted as stopped:
        _exit(str(stopped), stopped.exit_code)
    except BrokenPipeError:  # whoever read our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except InstantiationException as error:
        if (message := _explain_instantiation(error)) is None:
            raise
        _exit(f"error: {message}", EXIT_WRONG_INPUT)
    except (OSError, InputError, HydraException, OmegaConfBaseException) as error:
        if _is_interrupt(error):
            _exit("interrupted", EXIT_INTERRUPTED)
        if (
            isinstance(error, OSError)
            and not isinstance(error, HydraException)
            and not _is_user_fixable(error)
        ):
            raise
        _exit(f"error: {_explain(error)}", EXIT_WRONG_INPUT)
    except ValueError as error:
        if "Config group override" not in str(error):  # how Hydra refuses optimizer=null
            raise
        _exit(
            "error: a group cannot be null or a number; choose one of its files, see --help", EXIT_WRONG_INPUT
        )


def _explain(error: BaseException) -> str:
    """One line about what was wrong on the command line, with the nearest right word."""
    message = str(error)
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        if error.errno in FULL:
            return f"cannot write {error.filename or 'the run'}: {error.strerror}; checkpoints are intact"
        return f"{error.filename}: {error.strerror}" if error.filename else message
    if isinstance(error, InputError):
        # From a worker process it comes with that process's whole trace before it.
        return message.splitlines()[-1].removeprefix("mobilenet_lab.errors.InputError: ")
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _explain_missing_choice(error)
    cause = error.__cause__ if error.__cause__ is not None else error
    key = re.search(r"full_key: (\S+)", f"{message}\n{cause}")
    if key and ("not in struct" in message or "not in struct" in str(cause)):
        return f"{key[1]}: no such key; {_suggest_key(key[1])}"
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override!r} as key=value; quote a value with odd characters: \"key='...'\""
        )
    group = re.search(r"Could not override '([^']+)'.*No match in the defaults list", message, re.DOTALL)
    if group:
        return f"{group[1]}: no such group or key; {_suggest_key(group[1])}"
    return " ".join(line.strip() for line in message.splitlines() if line.strip())


def _is_user_fixable(error: BaseException) -> bool:
    """Whether a user can mend it."""
    return isinstance(error, USER_ERRORS) or (
        isinstance(error, OSError) and error.errno in USER_FIXABLE_ERRNOS
    )


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt is behind it: OmegaConf, interrupted in the middle of its work, raises its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _explain_instantiation(error: InstantiationException) -> str | None:
    """What a user can mend of an object that could not be built; None for our own bugs."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, ModuleNotFoundError) or _is_user_fixable(cause)):
        cause = cause.__cause__
    key = str(error).rpartition("full_key: ")[2]
    if "Error locating target" in str(error):
        return f"{key}: {cause or str(error).split(',')[0]}"
    if isinstance(cause, ModuleNotFoundError):
        extra = f'pip install -e ".[{key.rpartition(".")[2]}]"' if key else "see pyproject.toml"
        return f"{key}: a package is missing, {extra}"
    return None if cause is None else str(cause)


def _explain_missing_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    options = sorted(error.options or [])
    near = difflib.get_close_matches(choice, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if not options:
        return " ".join(str(error).split())
    return f"{group}={choice}: must be one of {', '.join(options)}{hint}"


def _suggest_key(key: str) -> str:
    """The nearest key of what the command line's groups compose to."""
    script = Path(sys.argv[0]).resolve()
    conf = script.parent / "conf"
    GlobalHydra.instance().clear()
    groups = {folder.name for folder in conf.iterdir() if folder.is_dir()}
    chosen = (argument.partition("=") for argument in sys.argv[1:])
    choices = {key.lstrip("+"): choice for key, _, choice in chosen if key.lstrip("+") in groups}
    if key in groups:  # one of its keys was set
        return f"choose {key}=... as well, see --help"
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            return suggest(key, compose_choices(script.stem, choices))
    except HydraException:
        return "see --help"


def _exit(message: str, code: int) -> None:
    print(message, file=sys.stderr, flush=True)
    raise SystemExit(code)

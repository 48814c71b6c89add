"""What the scripts share: paths without quoting, errors as one line, sweeps as processes of their own."""

import difflib
import errno
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.configuration import compose_choices, suggest
from mobilenet_lab.errors import EXIT_WRONG_INPUT, FULL, MACHINE_FAULTS, InputError, Stopped

PATH_KEYS = ("ckpt", "image", "resume", "output_dir", "data.root")
QUOTES = ("'", '"')
# Of the system's errors those about a path, and those below; others are our own bugs
MENDABLE = FULL | MACHINE_FAULTS | {errno.ELOOP, errno.ENAMETOOLONG}
USER_ERRORS = (
    InputError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
FAILED_JOBS: list[str] = []
EXIT_INTERRUPTED = 130
SIGNALS_HANDED_ON = "MOBILENET_LAB_SIGNALS_HANDED_ON"  # tells a job that a sweep hands its signals on
# How a job hears of a signal to its sweep; it has no use for a terminal's end
HANDED_ON_AS: dict[int, int] = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
}


def run(main: Callable[[], None]) -> None:
    """Start a script's Hydra main, with errors that a user can mend as one line.

    Exits with 2 after such an error and with 130 after an interrupt.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hands us the errors that Hydra would print itself
    with one_line_errors():
        sys.argv[1:] = quote_paths(sys.argv[1:])
        main()
        if FAILED_JOBS:
            raise InputError(f"of the sweep, these jobs failed: {', '.join(FAILED_JOBS)}")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without collecting garbage, and never look at what was imported again: a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a user's error as one line on standard error and exit; let our own bugs through."""
    try:
        yield
    except KeyboardInterrupt:
        _exit("interrupted", EXIT_INTERRUPTED)
    except Stopped as stopped:
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
        if isinstance(error, OSError) and not isinstance(error, HydraException) and not _is_mendable(error):
            raise
        _exit(f"error: {_explain(error)}", EXIT_WRONG_INPUT)
    except ValueError as error:
        if "Config group override" not in str(error):  # how Hydra refuses optimizer=null
            raise
        _exit(
            "error: a group cannot be null or a number; choose one of its files, see --help", EXIT_WRONG_INPUT
        )


def run_as_sweep_job(script: Path) -> bool:
    """In a sweep, run this job as a process of its own and wait for it.

    Each job then starts from a clean process, and the ranks that it may start see its arguments alone.

    A job that fails does not keep the others from running; `run` reports it at the end.

    Returns:
        False outside a sweep, where the caller has to do the work.

    Raises:
        InputError: `output_dir` is set, which the sweep does itself.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return False
    folder = Path(hydra.sweep.dir) / hydra.sweep.subdir
    overrides = list(hydra.overrides.task)
    if any(override.startswith("output_dir=") for override in overrides):
        raise InputError("output_dir: a sweep numbers its runs' folders; choose hydra.sweep.dir=... instead")
    print(f"\njob {hydra.job.num}: {' '.join(overrides)}", flush=True)
    command = [sys.executable, str(script), *overrides, *quote_paths([f"output_dir={folder}"])]
    if code := _run_in_good_order(command):
        FAILED_JOBS.append(f"{hydra.job.num} (exit code {code})")
        return True
    from mobilenet_lab.sweep import write_table

    print(f"table     {write_table(Path(hydra.sweep.dir))}", flush=True)
    return True


def _run_in_good_order(command: Sequence[str]) -> int:
    """Run a process that hears of every signal to this one, and has the time to end as it wants.

    Returns:
        Its exit code.
    """
    received: list[int] = []
    early: list[int] = []  # before there is a process to hand them to
    process: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if process is None:
            early.append(number)
        else:
            process.send_signal(HANDED_ON_AS[number])

    earlier = {
        number: signal.signal(number, hand_on)
        for number in HANDED_ON_AS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        # A terminal's Ctrl-C would reach it, too, and a second signal ends it without a checkpoint.
        process = subprocess.Popen(command, start_new_session=True, env=os.environ | {SIGNALS_HANDED_ON: "1"})
        for number in early:
            process.send_signal(HANDED_ON_AS[number])
        code = process.wait()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if received:
        raise SystemExit(128 + received[0])
    return code


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path keys, so that Hydra takes `=`, commas, spaces and brackets as they are.

    Left alone: values already quoted, interpolations, and lists of a sweep. A value in square brackets is a
    list whose members are quoted, unless a file has just that name.
    """
    is_sweep = any(argument in ("-m", "--multirun") for argument in arguments)
    return [_quote_path(argument, is_sweep) for argument in arguments]


def _quote_path(argument: str, is_sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if key.lstrip("+") not in PATH_KEYS or not equals or not value:
        return argument
    if value == "~" or value.startswith("~/"):  # a shell does so for few keys
        value = str(Path(value).expanduser())
    is_quoted = len(value) > 1 and value[0] in QUOTES and value[-1] == value[0]
    if is_quoted or value == "null" or (is_sweep and "," in value):
        return argument
    if "${" in value and key in ("output_dir", "data.root"):
        return argument
    # `Path.exists` would raise where it is too long for a name.
    if value[0] == "[" and value[-1] == "]" and not os.path.exists(value):  # noqa: PTH110
        members = [member.strip() for member in value[1:-1].split(",")]
        quoted = [m if m.startswith(QUOTES) else _quote(m) for m in members if m]
        return f"{key}=[{','.join(quoted)}]"
    return f"{key}={_quote(value)}"


def _quote(value: str) -> str:
    # In Hydra's grammar a backslash is special only before a quote, or at the end.
    escaped = re.sub(r"(\\*)(')", r"\1\1\\\2", value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped).replace("${", "\\${")
    return f"'{escaped}'"


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


def _is_mendable(error: BaseException) -> bool:
    """Whether a user can mend it."""
    return isinstance(error, USER_ERRORS) or (isinstance(error, OSError) and error.errno in MENDABLE)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt is behind it: OmegaConf, interrupted in the middle of its work, raises its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _explain_instantiation(error: InstantiationException) -> str | None:
    """What a user can mend of an object that could not be built; None for our own bugs."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, ModuleNotFoundError) or _is_mendable(cause)):
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

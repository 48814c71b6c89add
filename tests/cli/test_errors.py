import errno
import os

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.cli.errors import one_line_errors, task_errors
from mobilenet_lab.runtime.errors import InputError, RunInterrupted


def compose_and_interrupt() -> None:
    """Raise what OmegaConf raises when an interrupt leaves it in a half-built state."""
    try:
        raise KeyboardInterrupt
    finally:
        raise OmegaConfBaseException("half built")


def test_interrupt_hidden_behind_another_error_is_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        compose_and_interrupt()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_signal_exits_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise RunInterrupted("terminated at step 7", 143)
    assert ended.value.code == 143
    assert capsys.readouterr().err == "terminated at step 7\n"


def test_input_error_of_several_lines_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise InputError("output_dir=out\nput: is in use")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: output_dir=out\\nput: is in use\n"


def test_message_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_line_errors():
        raise FileNotFoundError(errno.ENOENT, "no such file", "a\nerror: \x1b[2J\udcff")
    assert capsys.readouterr().err == "error: a\\nerror: \\x1b[2J\\udcff: no such file\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOENT, errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_errors_of_files_and_the_machine_are_one_line(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise OSError(number, os.strerror(number), "file")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [OSError(errno.EBADF, os.strerror(errno.EBADF)), ValueError("no"), KeyError("a")]
)
def test_bugs_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, one_line_errors():
        raise error
    assert raised.value is error


@pytest.mark.parametrize(("mode", "expected"), [(RunMode.RUN, SystemExit), (RunMode.MULTIRUN, InputError)])
def test_task_exits_in_a_run_and_raises_in_a_sweep(
    mode: RunMode, expected: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create({"mode": mode}))
    with pytest.raises(expected), task_errors():
        raise InputError("seed=-1: must be an integer")

import errno
import os
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilenet_lab.cli.errors import one_line_errors
from mobilenet_lab.config.override_quoting import quote_paths

ODD_NAMES = [
    "plain.png",
    "img (1).png",
    "a=b,c.png",
    "it's.png",
    'say "hi".png',
    "back\\slash",
    "ends with \\",
    "quote \\' inside",
    "{x}: [y]",
    "-dash",
    "~home",
    "ümlaut ★",
    "$HOME",
    "100%",
    "'lead.png",
    "${x}.png",
    "a b\tc",
]


def resolved(argument: str) -> str:
    """The value as a configuration gives it, interpolations and escapes resolved."""
    return str(OmegaConf.create({"value": str(parsed(argument))}).value)


def parsed(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("key", ["ckpt", "image", "resume"])
def test_paths_arrive_as_they_were_typed(key: str, name: str) -> None:
    (argument,) = quote_paths([f"{key}={name}"])
    assert resolved(argument) == name


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if "${" not in name])
@pytest.mark.parametrize("key", ["output_dir", "data.root"])
def test_folders_arrive_as_they_were_typed(key: str, name: str) -> None:
    (argument,) = quote_paths([f"{key}={name}"])
    assert resolved(argument) == name


@pytest.mark.parametrize("key", ["ckpt", "data.root", "output_dir"])
def test_the_home_folder_is_meant_as_in_a_shell(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of (mine)")
    assert [resolved(a) for a in quote_paths([f"{key}=~/runs/a", f"{key}=~"])] == [
        "/home/of (mine)/runs/a",
        "/home/of (mine)",
    ]


@pytest.mark.parametrize("name", ["img{:02}.png", "photos/2026/holiday/IMG_{:04}.jpg"])
def test_a_list_may_be_longer_than_a_name(name: str) -> None:
    names = [name.format(i) for i in range(200)]
    (argument,) = quote_paths([f"image=[{','.join(names)}]"])
    assert parsed(argument) == names


def test_lists_stay_lists_of_odd_names() -> None:
    (argument,) = quote_paths(["image=[img (1).png, a=b.png]"])
    assert [str(name) for name in parsed(argument)] == ["img (1).png", "a=b.png"]  # type: ignore[attr-defined]


def test_a_file_in_brackets_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[1].png").touch()
    Path("[1]").touch()
    assert [str(parsed(a)) for a in quote_paths(["image=[1].png", "image=[1]"])] == ["[1].png", "[1]"]


@pytest.mark.parametrize(
    "argument",
    [
        "resume=null",
        "image='a b.png'",
        "output_dir=outputs/${seed}",
        "model.filters=4",
        "ckpt",
        "ckpt=",
        "-m",
    ],
)
def test_other_arguments_stay_as_they_are(argument: str) -> None:
    assert quote_paths([argument]) == [argument]


def test_sweeps_over_paths_stay_sweeps() -> None:
    assert quote_paths(["-m", "resume=a,b"]) == ["-m", "resume=a,b"]


def interrupted_while_composing() -> None:
    """As OmegaConf is, whose clean-up then fails."""
    try:
        raise KeyboardInterrupt
    finally:
        raise OmegaConfBaseException("half done")


def test_an_interrupt_that_became_another_error_is_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        interrupted_while_composing()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOENT, errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_errors_of_files_and_the_machine_are_one_line(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise OSError(number, os.strerror(number), "file")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_other_errors_of_the_system_are_our_own_bugs() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)), one_line_errors():
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

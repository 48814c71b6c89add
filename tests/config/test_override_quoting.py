from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mobilenet_lab.config.override_quoting import quote_paths, unquote_paths

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
    """Return the value in a configuration, with interpolations and escapes resolved."""
    return str(OmegaConf.create({"value": str(parsed(argument))}).value)


def parsed(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("key", ["ckpt", "image", "resume"])
def test_path_reaches_the_script_unchanged(key: str, name: str) -> None:
    (argument,) = quote_paths([f"{key}={name}"])
    assert resolved(argument) == name


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if "${" not in name])
@pytest.mark.parametrize("key", ["output_dir", "data.root"])
def test_folder_reaches_the_script_unchanged(key: str, name: str) -> None:
    (argument,) = quote_paths([f"{key}={name}"])
    assert resolved(argument) == name


@pytest.mark.parametrize("key", ["ckpt", "data.root", "output_dir"])
def test_tilde_is_expanded_as_by_a_shell(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of (mine)")
    # The home folder itself is refused as a run folder.
    home = "~" if key == "output_dir" else "/home/of (mine)"
    assert [resolved(a).rstrip("/") for a in quote_paths([f"{key}=~/runs/a", f"{key}=~", f"{key}=~/"])] == [
        "/home/of (mine)/runs/a",
        home,
        home,
    ]


@pytest.mark.parametrize("name", ["img{:02}.png", "photos/2026/holiday/IMG_{:04}.jpg"])
def test_list_may_exceed_the_length_limit_of_file_names(name: str) -> None:
    names = [name.format(i) for i in range(200)]
    (argument,) = quote_paths([f"image=[{','.join(names)}]"])
    assert parsed(argument) == names


def test_list_of_paths_stays_a_list() -> None:
    (argument,) = quote_paths(["image=[img (1).png, a=b.png]"])
    assert [str(name) for name in parsed(argument)] == ["img (1).png", "a=b.png"]  # type: ignore[attr-defined]


def test_existing_file_in_brackets_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_other_arguments_are_unchanged(argument: str) -> None:
    assert quote_paths([argument]) == [argument]


@pytest.mark.parametrize("key", ["data.root", "resume", "hydra.sweep.dir"])
def test_sweep_over_paths_takes_each_one_literally(key: str) -> None:
    _, argument = quote_paths(["-m", f"{key}=a b, it's=(1),null,'c,d'"])
    override = OverridesParser.create().parse_override(argument)
    assert override.is_sweep_override()
    # Each value passes through its text once more, on its way from the sweeper to the job.
    jobs = [f"{key}={value}" for value in override.sweep_string_iterator()]
    assert [parsed(job) for job in jobs] == ["a b", "it's=(1)", None, "c,d"]
    assert unquote_paths(jobs) == [f"{key}=a b", f"{key}=it's=(1)", f"{key}=null", f"{key}=c,d"]


@pytest.mark.parametrize(
    "argument",
    ["resume=glob(*)", "resume=[a,b],[c,d]", "data.root=choice('a','b')", "data.root=${oc.env:A,b},${x}"],
)
def test_grammar_of_sweeps_is_unchanged(argument: str) -> None:
    assert quote_paths(["-m", argument]) == ["-m", argument]


def test_existing_name_with_a_comma_is_one_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a, b", "a", "c,d"):
        Path(name).touch()
    _, single, several = quote_paths(["-m", "data.root=a, b", "data.root=a, b,c,d,e"])
    assert parsed(single) == "a, b"
    assert several == "data.root='a, b','c,d','e'"
    (images,) = quote_paths(["image=[c,d,a, b,'c,d',e]"])
    assert parsed(images) == ["c,d", "a, b", "c,d", "e"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_unquoted_path_is_what_was_typed(name: str) -> None:
    arguments = [f"resume={name}", "model.filters=4"]
    assert unquote_paths(quote_paths(arguments)) == [f"resume={name}", "model.filters=4"]

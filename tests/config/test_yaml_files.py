"""A mistake in a YAML file is one line with the file, the line and the fix."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT, composed

from mobilenet_lab.cli.errors import one_line_errors

SETTINGS = "model:\n  filters: 2\n"
HEADER = "# @package _global_\n"


def error_of(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a script prints about the only file in a configuration folder."""
    (path,) = folder.rglob("*.y*ml")
    choice = f"{path.parent.name}={path.stem}"
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), f"--config-dir={folder}", choice])
    with pytest.raises(SystemExit) as ended, one_line_errors():
        composed(f"hydra.searchpath=[file://{folder}]", choice)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SETTINGS, ":1: needs `# @package _global_` as its first line"),
        ("", ":1: needs `# @package _global_` as its first line"),
        ("defaults:\n  - override /optimizer: adamw\n", ":1: needs `# @package _global_` as its first line"),
        (f"# Mine\n{HEADER}{SETTINGS}", ":2: Hydra reads `# @package _global_` only as the first line; move"),
        (f"\ufeff{HEADER}{SETTINGS}", ":1: a byte order mark hides `# @package _global_`; save the file as"),
        (
            f"# @package\n{SETTINGS}",
            ":1: `# @package` does not name one package; write `# @package _global_`",
        ),
        (
            f"# @package _global_ x\n{SETTINGS}",
            ":1: `# @package _global_ x` does not name one package; write",
        ),
        (f"{HEADER}model:\n\tfilters: 2\n", ":3: a tab indents the line; use spaces"),
        (f"{HEADER}{SETTINGS}  filters: 3\n", ":4: the key filters is given twice; remove one of them"),
        (f"{HEADER}model: [1\n", ":3: expected ',' or ']'"),
        (
            f"{HEADER}# \N{DEGREE SIGN}\n{SETTINGS}".encode("latin-1"),
            ":2: is not UTF-8; save the file as UTF-8",
        ),
        (f"{HEADER}- model\n", ":2: is not a mapping; write lines of the form `key: value`"),
        (f"{HEADER}seed: \x07\n", ": contains the control character '\\x07'; remove it"),
    ],
)
def test_unusable_experiment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes,
    message: str,
) -> None:
    path = tmp_path / "experiment/mine.yaml"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = error_of(tmp_path, monkeypatch, capsys)
    assert error.startswith(f"error: {path}{message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("optimizer/mine.yaml", "", "{path}: is empty; write the keys of its group"),
        (
            "optimizer/mine.yaml",
            f"{HEADER}lr: 1.0\n",
            "{path}:1: `# @package _global_` moves the keys out of",
        ),
        ("optimizer/mine.yaml", "lr: 1.0\nlr: 2.0\n", "{path}:2: the key lr is given twice; remove one of"),
        ("optimizer/mine.yaml", "lr: 1.0\n", "optimizer=mine: has no class; add the line `_target_: ...` to"),
        ("model/mine.yaml", "defaults:\n  - nothing\n", "In 'model/mine': Could not load 'model/nothing'.\n"),
        (
            "experiment/mine.yaml",
            f"{HEADER}model.filters: 2\n",
            "model.filters: is one key with a dot in a Y",
        ),
        (
            "experiment/mine.yaml",
            f"{HEADER}defaults:\n  - override optimizer: adamw\n",
            "`override optimizer` in the defaults of a file needs a slash; write `override /optimizer`",
        ),
        ("experiment/mine.yml", f"{HEADER}{SETTINGS}", "experiment=mine: must be one of "),
    ],
)
def test_unusable_file_of_any_group(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    message: str,
) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(content)
    error = error_of(tmp_path, monkeypatch, capsys)
    assert error.startswith(f"error: {message.format(path=path)}")
    assert error.count("\n") == 1
    if path.suffix == ".yml":
        assert error.endswith(f"; rename {path} to mine.yaml\n")


def test_byte_order_mark_without_a_header_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "optimizer/mine.yaml"
    path.parent.mkdir()
    path.write_text("\ufeff_target_: torch.optim.SGD\n_partial_: true\nlr: 0.5 # > 0\n")
    assert composed(f"hydra.searchpath=[file://{tmp_path}]", "optimizer=mine").optimizer.lr == 0.5

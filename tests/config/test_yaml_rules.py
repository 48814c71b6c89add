"""Rules in the comments of YAML files: those of conf/, and those of a user's own files."""

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, composed
from omegaconf import OmegaConf

from mobilenet_lab.config.nested import flatten
from mobilenet_lab.config.yaml_rules import read_rules, rules_in
from mobilenet_lab.runtime.errors import InputError

CONF = ROOT / "conf"
FILES = sorted(CONF.rglob("*.yaml"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_comment_that_starts_like_a_rule_is_one(path: Path) -> None:
    rules_in(path, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_without_a_default_has_a_rule(path: Path) -> None:
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    for key, value in flatten(values).items():
        if value in (None, "???") and not key.startswith("hydra."):
            assert key in rules_in(path, ""), key


def test_rules_of_keys_that_others_rely_on() -> None:
    rules = read_rules([CONF], "train", {"model": "mobilenetv2_050", "data": "idx", "trainer": "ddp_cpu"})
    assert rules["seed"].description == "an integer from 0 to 4,294,967,295"
    assert rules["model.filters"].description == "a number from 1 to 1,024"  # from mobilenetv2.yaml
    assert rules["data.val_split"].description == "a fraction from 0 to 1 (excluding 1) or a count"
    assert rules["trainer.precision"].words == ("32-true", "32", "bf16-mixed", "16-mixed")
    assert len(rules) > 40


def test_comment_belongs_to_the_value_before_it(tmp_path: Path) -> None:
    text = (
        "# > 0 is the header\na: 1 # > 0\nb: '# > 0'\nc:\n  d: [1,\n    2] # 2 integers in [0, 3]\n"
        "  # > 5 is a line of its own\n  e: {f: 1.0} # > 0\né: ü # one of ü, ß\ng: |\n  # > 0\nh: 3\n"
    )
    rules = rules_in(write(tmp_path / "x.yaml", text), "group")
    assert {key: rule.description for key, rule in rules.items()} == {
        "group.a": "an integer above 0",
        "group.c.d": "a list of 2 integers from 0 to 3",
        "group.é": "one of ü, ß",
    }


def test_defaults_and_packages_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "one/net/base.yaml", "width: 4 # in [1, 9]\ndepth: 2 # > 0\n")
    write(tmp_path / "two/net/base.yaml", "width: 4 # in [1, 3]\n")
    write(tmp_path / "two/net/mine.yaml", "defaults:\n  - base\n\nwidth: 5 # in [5, 6]\n")
    write(tmp_path / "two/main.yaml", "# @package _global_\ntop: 1 # in [0, 2]\nhydra:\n  x: 1 # > 0\n")
    write(tmp_path / "two/over.yaml", "# @package _global_\nnet:\n  extra: 1 # > 0\n")
    folders = [tmp_path / "one", tmp_path / "two"]
    rules = read_rules(folders, "main", {"net": "mine", "net@other": "base", "absent": None, "away": "gone"})
    assert {key: rule.description for key, rule in rules.items()} == {
        "net.width": "an integer from 5 to 6",
        "net.depth": "an integer above 0",
        "other.width": "an integer from 1 to 9",
        "other.depth": "an integer above 0",
        "top": "an integer from 0 to 2",
    }


def test_malformed_rule_is_one_line_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "x.yaml", "a: 1\nb: 2 # in [1, 5\n")
    with pytest.raises(InputError) as raised:
        rules_in(path, "")
    assert str(raised.value).startswith(f"{path}:2: b: 'in [1, 5' is not a rule; fix it, or start")


def test_rules_of_a_users_own_choice_are_checked(tmp_path: Path) -> None:
    write(tmp_path / "model/wide.yaml", "defaults:\n  - mobilenetv2\n\nfilters: 16 # in [16, 32]\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    assert composed(search, "model=wide", "model.filters=32").model.filters == 32
    with pytest.raises(InputError, match=r"model\.filters=8: must be an integer from 16 to 32"):
        composed(search, "model=wide", "model.filters=8")
    with pytest.raises(InputError, match=r"model\.dropout=1: must be a number from 0 to 1 \(excluding 1\)"):
        composed(search, "model=wide", "model.dropout=1")

"""A primary configuration without groups is read as Hydra would compose it."""

from pathlib import Path

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mobilenet_lab.config.primary_file import read_primary_file

CONF = ROOT / "conf"


def test_predict_equals_its_composition() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.to_container(compose("predict"))
    assert read_primary_file([CONF], "predict") == composed


@pytest.mark.parametrize("name", ["train", "evaluate", "nowhere"])
def test_files_with_groups_are_composed(name: str) -> None:
    assert read_primary_file([CONF], name) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: ${a}\nhydra:\n  verbose: true\n", {"a": 1, "b": "${a}"}),
        ("defaults:\n  - _self_\n  - override hydra/job_logging: stdout\na: 1e-3\n", {"a": 0.001}),
        ("defaults:\n  - predict\n  - _self_\na: 1\n", None),
        ("defaults:\n  - _self_\n  - data: mnist\na: 1\n", None),
        ("# @package somewhere\na: 1\n", None),
        ("- a\n", None),
    ],
)
def test_only_files_that_are_complete_are_read(
    tmp_path: Path, text: str, expected: dict[str, object] | None
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert read_primary_file([tmp_path, CONF], "mine") == expected


def test_first_folder_wins(tmp_path: Path) -> None:
    (tmp_path / "predict.yaml").write_text("a: 1\n")
    assert read_primary_file([tmp_path, CONF], "predict") == {"a": 1}

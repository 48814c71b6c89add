"""predict.py looks up Hydra's mode only if its arguments can change it."""

import pytest
from conftest import ROOT
from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf

from mobilenet_lab.cli.hydra_mode import skip_mode_lookup


@pytest.mark.parametrize(
    ("arguments", "is_skipped"),
    [
        (["image=x.png", "format=json"], True),
        ([], True),
        (["image=x.png", "hydra.mode=MULTIRUN"], False),
        (["+hydra.mode=MULTIRUN"], False),
        (["hydra/launcher=basic", "image=x.png"], False),
        (["-m", "image=x.png"], False),
        (["--config-dir=elsewhere", "image=x.png"], False),
    ],
)
def test_lookup_is_skipped_if_no_argument_changes_the_mode(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], is_skipped: bool
) -> None:
    original = Hydra.get_mode  # fails if Hydra renames it
    monkeypatch.setattr(Hydra, "get_mode", original)
    skip_mode_lookup(arguments)
    assert (Hydra.get_mode is not original) == is_skipped
    if is_skipped:
        assert Hydra.get_mode(None, config_name="predict", overrides=arguments) is None  # type: ignore[arg-type]


def test_configuration_of_predict_sets_no_mode() -> None:
    assert "mode" not in OmegaConf.load(ROOT / "conf/predict.yaml").hydra

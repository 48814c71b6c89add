"""Objects of a run that are built from their configuration."""

import pytest
import torch
from conftest import composed
from hydra.utils import instantiate

from mobilenet_lab.training.builders import with_floats


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("betas", [[0, 0], [0, 0.5]])
def test_integers_are_betas(name: str, betas: list[float]) -> None:
    cfg = composed(f"optimizer={name}", f"optimizer.betas={betas}")
    optimizer = instantiate(with_floats(cfg.optimizer), _convert_="all")([torch.zeros(1)])
    assert optimizer.param_groups[0]["betas"] == tuple(betas)
    assert {type(beta) for beta in optimizer.param_groups[0]["betas"]} == {float}

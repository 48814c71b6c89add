"""Every choice of every group composes, alone and with the choices of other groups."""

import inspect
import itertools
import pkgutil
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, composed
from omegaconf import OmegaConf

CHOICES = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted((ROOT / "conf").iterdir())
    if folder.is_dir()
}
OVERLAYS = ("experiment", "debug")
FINE_TUNING = {"finetune", "linear_probe", "cifar10"}
NEEDS_ROOT = {"idx", "image_folder", "photos"} | FINE_TUNING


def choose(**choices: str) -> list[str]:
    root = ["data.root=somewhere"] if NEEDS_ROOT & set(choices.values()) else []
    return [*(f"{group}={choice}" for group, choice in choices.items()), *root]


@pytest.mark.parametrize(("group", "choice"), [(g, c) for g in CHOICES for c in CHOICES[g]])
def test_choice_composes_and_passes_the_check(group: str, choice: str) -> None:
    cfg = composed(*choose(**{group: choice}))
    assert OmegaConf.to_container(cfg, resolve=True)


def covering_combinations() -> list[dict[str, str]]:
    """Return choices for all groups at once, until every two choices of two groups have met."""
    open_pairs = {
        ((one, a), (other, b))
        for one, other in itertools.combinations(CHOICES, 2)
        for a, b in itertools.product(CHOICES[one], CHOICES[other])
    }
    assert len(open_pairs) > 300
    combinations, random = [], np.random.default_rng(0)
    while open_pairs:
        candidates = [{g: str(random.choice(c)) for g, c in CHOICES.items()} for _ in range(30)]
        # Start from an open pair, so that each round covers at least one.
        pair = sorted(open_pairs)[0]
        best = max(
            ({**candidate, **dict(pair)} for candidate in candidates),
            key=lambda c: len(open_pairs & set(itertools.combinations(c.items(), 2))),
        )
        open_pairs -= set(itertools.combinations(best.items(), 2))
        combinations.append(best)
    return combinations


def test_every_two_choices_compose_together() -> None:
    for combination in covering_combinations():
        # ImageNet's weights have one width only, which is no fault of a group.
        weights = ["model.weights=null"] if combination["experiment"] in FINE_TUNING else []
        composed(*choose(**combination), *weights)


def targets(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [target for child in node for target in targets(child)]
    if not isinstance(node, dict):
        return []
    own = [node] if "_target_" in node else []
    return own + [target for child in node.values() for target in targets(child)]


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        (group, choice)
        for group in CHOICES
        for choice in CHOICES[group]
        if group not in (*OVERLAYS, "model") and choice not in ("wandb", "mlflow")
    ],
)
def test_target_takes_its_arguments(group: str, choice: str) -> None:
    cfg: Any = OmegaConf.to_container(composed(*choose(**{group: choice})), resolve=True)
    found = targets(cfg[group])
    assert found or choice == "none"
    for node in found:
        arguments = {key: value for key, value in node.items() if not key.startswith("_")}
        inspect.signature(pkgutil.resolve_name(node["_target_"])).bind_partial(**arguments)


@pytest.mark.parametrize("choice", CHOICES["model"])
def test_network_takes_its_arguments(choice: str) -> None:
    from mobilenet_lab.models import build_network

    arguments: Any = OmegaConf.to_container(composed(f"model={choice}", "model.filters=1").model)
    assert arguments.pop("weights") is None
    build_network(arguments.pop("network"), image_size=28, **arguments)


@pytest.mark.parametrize(
    ("choice", "width"),
    [("mobilenetv2_025", 2), ("mobilenetv2_050", 4), ("mobilenetv2_075", 6), ("mobilenetv2_100", 8)],
)
def test_width_is_an_eighth_of_the_channel_unit(choice: str, width: int) -> None:
    assert composed(f"model={choice}").model.filters == width

"""A network is built from a checkpoint's description, and a description of another kind is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mobilenet_lab.checkpoints.network import network_from
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier

MODEL = {"network": "mobilenet_v2", "filters": 1, "stem_stride": None}


def checkpoint_of(module: ImageClassifier) -> dict[str, Any]:
    return {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}


def test_network_equals_the_one_that_was_saved() -> None:
    module = ImageClassifier(model=MODEL).eval()
    network = network_from(checkpoint_of(module), Path("x.ckpt"))
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(network(images), module(images))
    assert not network.training


def test_flat_description_of_an_earlier_version_is_one_clear_line() -> None:
    checkpoint = checkpoint_of(ImageClassifier(model=MODEL))
    hparams = checkpoint["hyper_parameters"]
    checkpoint["hyper_parameters"] = {**hparams.pop("model"), **hparams, "label_smoothing": 0.05}
    with pytest.raises(InputError) as raised:
        network_from(checkpoint, Path("x.ckpt"))
    assert str(raised.value) == (
        "x.ckpt: not a checkpoint of this version of the project; hyper_parameters lacks model; "
        "use another checkpoint"
    )


@pytest.mark.parametrize(
    ("group", "change", "reason"),
    [
        (None, {"surprise": 1}, "invalid hyper_parameters"),
        (None, {"classes": "abc"}, "invalid classes"),
        ("model", {"network": "os.system"}, "must be one of mobilenet_v2"),
        ("model", {"network": ["mobilenet_v2"]}, "invalid model.network"),
        ("model", {"filters": 2}, "should have shape"),
        ("model", {"color": "red"}, "unexpected keyword argument 'color'"),
        ("model", {"num_classes": 3}, "multiple values"),
        ("preprocessing", {"image_size": 0}, "invalid preprocessing.image_size"),
        ("data", {"fit": "squash"}, "invalid data.fit"),
    ],
)
def test_malformed_description_is_refused(group: str | None, change: dict[str, Any], reason: str) -> None:
    checkpoint = checkpoint_of(ImageClassifier(model=MODEL))
    hparams = checkpoint["hyper_parameters"]
    (hparams if group is None else hparams[group]).update(change)
    with pytest.raises(InputError, match=reason) as raised:
        network_from(checkpoint, Path("x.ckpt"))
    assert str(raised.value).startswith("x.ckpt: ")
    assert "\n" not in str(raised.value)

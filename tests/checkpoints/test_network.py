"""A network is built from a checkpoint's description, and a description of another kind is refused."""

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mobilenet_lab.checkpoints.network import check_weights, network_from
from mobilenet_lab.data.limits import MAX_SIDE
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.classification import ImageClassifier
from mobilenet_lab.tasks.defaults import MNIST_PREPROCESSING

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
        ("preprocessing", {"resize": "grow"}, "invalid preprocessing.resize"),
        ("preprocessing", {"resize": "crop", "image_size": 64}, "invalid preprocessing.resize"),
        ("preprocessing", {"resize": "pad", "image_size": 20}, "invalid preprocessing.resize"),
        ("preprocessing", {"std": [0.1, 0.2]}, "invalid preprocessing.std"),
        ("preprocessing", {"mean": math.nan}, "invalid preprocessing.mean"),
        ("data", {"fit": "squash"}, "invalid data.fit"),
        ("data", {"images": None}, "invalid data.images;"),
        ("data", {"more": [1]}, "invalid data;"),
        ("data", {"split": "\x1b"}, "invalid hyper_parameters, data;"),
        ("data", {"stratified": 1}, "invalid data.stratified;"),
        ("data", {"val_split": None}, "invalid data.val_split;"),
        ("data", {"val_split": -0.5}, "invalid data.val_split;"),
        ("data", {"test_split": True}, "invalid data.test_split;"),
        ("data", {"split_seed": -1}, "invalid data.split_seed;"),
        ("data", {"split_seed": 0.5}, "invalid data.split_seed;"),
        ("data", {"max_train_samples": 3.5}, "invalid data.max_train_samples;"),
        ("data", {"name": "x\x1b[2J"}, "invalid hyper_parameters"),
        ("data", {"x\nerror: all is lost": 1}, "invalid hyper_parameters"),
        ("model", {"x\ud800": 1}, "invalid hyper_parameters"),
        ("model", {"filters": ["\x1b[2J"]}, "invalid hyper_parameters"),
        (
            None,
            {"classes": ["\x1b[31m", *"123456789"]},
            r"class name '\\x1b\[31m' has control characters; use ano",
        ),
        (
            None,
            {"classes": ["1", *"123456789"]},
            "class name '1' is the name of two classes; use another chec",
        ),
        (None, {"classes": [0, *"123456789"]}, "class name int is not text; use another checkpoint"),
    ],
)
def test_malformed_description_is_refused(group: str | None, change: dict[str, Any], reason: str) -> None:
    checkpoint = checkpoint_of(ImageClassifier(model=MODEL))
    hparams = checkpoint["hyper_parameters"]
    (hparams if group is None else hparams[group]).update(change)
    with pytest.raises(InputError, match=reason) as raised:
        network_from(checkpoint, Path("x.ckpt"))
    assert str(raised.value).startswith("x.ckpt: ")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("network.features.0.0.weight", math.nan, "the weight features.0.0.weight is NaN or infinite"),
        ("network.classifier.1.bias", -math.inf, "the weight classifier.1.bias is NaN or infinite"),
        ("network.features.3.conv.0.1.running_mean", math.inf, "running_mean is NaN or infinite"),
        (
            "network.features.3.conv.0.1.running_var",
            -1.0,
            "the variance features.3.conv.0.1.running_var is neg",
        ),
    ],
)
def test_weights_that_make_every_answer_nan_are_refused(key: str, value: float, reason: str) -> None:
    checkpoint = checkpoint_of(ImageClassifier(model=MODEL))
    checkpoint["state_dict"][key].view(-1)[-1] = value
    with pytest.raises(InputError, match=rf"^x\.ckpt: .*{reason}.*; use another checkpoint$"):
        network_from(checkpoint, Path("x.ckpt"))


def test_weights_that_are_infinite_in_single_precision_are_refused() -> None:
    checkpoint = checkpoint_of(ImageClassifier(model=MODEL))
    checkpoint["state_dict"]["network.classifier.1.bias"] = torch.full((10,), 1e300, dtype=torch.float64)
    with pytest.raises(InputError, match=r"the weight classifier\.1\.bias is NaN or infinite"):
        network_from(checkpoint, Path("x.ckpt"))


def test_checks_of_the_default_network_take_milliseconds() -> None:
    network = ImageClassifier().network
    times = []
    for _ in range(5):
        began = time.process_time()
        check_weights(network.state_dict())
        times.append(time.process_time() - began)
    assert min(times) < 0.02


def test_cost_of_one_image_is_limited_in_training_and_prediction() -> None:
    wide = {"stem_stride": 1, "strides": [1] * 7}
    message = (
        "data.image_size=4096: one image takes 160.0 GiB of activations and 1.4e+12 MACs in this network, "
        "but at most 4.0 GiB and 1e+12 MACs are allowed; "
    )
    with pytest.raises(InputError) as raised:
        ImageClassifier(MODEL | wide, preprocessing=MNIST_PREPROCESSING | {"image_size": 4096})
    assert str(raised.value) == (message + "lower data.image_size or model.filters, or raise model.strides")
    checkpoint = checkpoint_of(ImageClassifier(MODEL | wide))
    checkpoint["hyper_parameters"]["preprocessing"]["image_size"] = 4096
    with pytest.raises(InputError) as raised:
        network_from(checkpoint, Path("x.ckpt"))
    assert str(raised.value) == f"x.ckpt: {message}use another checkpoint"


def test_default_network_may_have_the_largest_images() -> None:
    module = ImageClassifier(
        {"stem_stride": None}, preprocessing=MNIST_PREPROCESSING | {"image_size": MAX_SIDE}
    )
    assert module.network.get_submodule("features.0.0").stride == (2, 2)

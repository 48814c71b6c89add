"""Pretrained weights: what is read, what is converted, and what is refused."""

import io
import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision_reference import functional_forward, random_weights

from mobilenet_lab import MobileNetV2, load_pretrained
from mobilenet_lab.checkpoints.imagenet import imagenet_classes
from mobilenet_lab.runtime.errors import InputError

Weights = dict[str, Tensor]
STEM, BIAS, KERNEL = "features.0.0.weight", "classifier.1.bias", "features.1.conv.0.0.weight"


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(width=2, num_classes=10)


def network(**arguments: Any) -> MobileNetV2:
    return MobileNetV2(**({"filters": 2, "in_channels": 3, "num_classes": 10} | arguments)).eval()


def save_legacy(contents: Any, path: Path) -> None:
    torch.save(contents, path, _use_new_zipfile_serialization=False)


def same(loaded: MobileNetV2, weights: Weights, but: tuple[str, ...] = ()) -> bool:
    state = loaded.state_dict()
    return all(torch.equal(state[key], value) for key, value in weights.items() if key not in but)


@pytest.mark.parametrize("write", [torch.save, save_legacy, save_file])
def test_every_format_gives_the_same_logits_as_the_weights(
    tmp_path: Path, weights: Weights, write: Callable[..., None]
) -> None:
    write(weights, tmp_path / "weights.pth")
    loaded = network()
    report = load_pretrained(loaded, tmp_path / "weights.pth")
    assert str(report) == "314 tensors loaded"
    images = torch.rand(2, 3, 64, 64)
    expected = functional_forward(weights, images)
    torch.testing.assert_close(loaded(images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("prefix", ["module.", "network.", "model.", "module.model."])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_names_of_wrappers_are_recognized(
    tmp_path: Path, weights: Weights, prefix: str, key: str | None
) -> None:
    contents: dict[str, Any] = {f"{prefix}{name}": value for name, value in weights.items()}
    contents["criterion.weight"] = torch.ones(3)
    torch.save({key: contents, "epoch": 3} if key else contents, tmp_path / "weights.pt")
    loaded = network()
    assert load_pretrained(loaded, str(tmp_path / "weights.pt")).skipped == ["criterion.weight"]
    assert same(loaded, weights)


def test_classifier_of_another_size_keeps_its_initial_values(tmp_path: Path, weights: Weights) -> None:
    torch.save(weights, tmp_path / "weights.pth")
    loaded = network(num_classes=4)
    before = loaded.classifier[1].weight.clone()
    report = load_pretrained(loaded, tmp_path / "weights.pth")
    assert report.kept == ["classifier.1.weight", BIAS]
    assert str(report) == "312 tensors loaded; re-initialized: classifier.1.weight, classifier.1.bias"
    assert torch.equal(loaded.classifier[1].weight, before)
    assert same(loaded, weights, but=("classifier.1.weight", BIAS))


def test_weights_without_classifier_and_counters_are_enough(tmp_path: Path, weights: Weights) -> None:
    backbone = {
        key: value
        for key, value in weights.items()
        if not key.startswith("classifier") and "num_batches" not in key
    }
    torch.save(backbone | {"aux.weight": torch.ones(1)}, tmp_path / "weights.pth")
    loaded = network()
    report = load_pretrained(loaded, tmp_path / "weights.pth")
    assert (report.skipped, len(report.kept)) == (["aux.weight"], 2)
    assert same(loaded, backbone)


def test_gray_stem_answers_as_the_color_stem_to_three_equal_channels(
    tmp_path: Path, weights: Weights
) -> None:
    torch.save(weights, tmp_path / "color.pth")
    color, gray, again = network(), network(in_channels=1), network()
    load_pretrained(color, tmp_path / "color.pth")
    report = load_pretrained(gray, tmp_path / "color.pth")
    assert report.notes == ["the stem's three input channels were summed to one"]
    torch.save(gray.state_dict(), tmp_path / "gray.pth")
    load_pretrained(again, tmp_path / "gray.pth")
    images = torch.rand(2, 1, 64, 64)
    expected = color(images.expand(-1, 3, -1, -1))
    tolerance = {"rtol": 1e-4, "atol": 1e-4 * float(expected.detach().abs().max())}
    torch.testing.assert_close(gray(images), expected, **tolerance)
    torch.testing.assert_close(again(images.expand(-1, 3, -1, -1)), expected, **tolerance)


@pytest.mark.parametrize(
    ("filters", "round_to", "other", "settings"),
    [
        (2, 1, {}, "model.filters=2 model.round_to=1"),
        (2.8, 8, {}, "model.filters=2.8 model.round_to=8"),
        (11.2, 8, {"filters": 8}, "model.filters=11.2 model.round_to=8"),
        (4, 8, {"filters": 4, "round_to": 1}, "model.filters=4 model.round_to=8"),
    ],
)
def test_another_width_is_refused_with_the_settings_that_fit(
    tmp_path: Path, filters: float, round_to: int, other: dict[str, Any], settings: str
) -> None:
    torch.save(network(filters=filters, round_to=round_to).state_dict(), tmp_path / "weights.pth")
    loaded = network(**({"filters": 3} | other))
    before = {key: value.clone() for key, value in loaded.state_dict().items()}
    with pytest.raises(InputError, match=r"weights=.*: features\S+ has shape \(.*, but \(") as error:
        load_pretrained(loaded, tmp_path / "weights.pth")
    assert str(error.value).endswith(f"use {settings}")
    assert "\n" not in str(error.value)
    assert same(loaded, before)


def test_weights_of_another_network_are_refused(tmp_path: Path, weights: Weights) -> None:
    torch.save({"layer1.0.conv1.weight": torch.ones(3)}, tmp_path / "resnet.pth")
    with pytest.raises(InputError, match=r"lacks features.0.0.weight, .* for example layer1.0.conv1.weight"):
        load_pretrained(network(), tmp_path / "resnet.pth")
    for key, shape in ((KERNEL, (1, 2, 3, 4)), (STEM, (8, 0, 3, 3))):
        torch.save(weights | {key: torch.ones(shape)}, tmp_path / "changed.pth")
        problem = rf"{key} has shape {re.escape(str(shape))}.*weights of the same network"
        with pytest.raises(InputError, match=problem):
            load_pretrained(network(), tmp_path / "changed.pth")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (STEM, float("nan"), "the weight features.0.0.weight is NaN or infinite"),
        (BIAS, float("inf"), "the weight classifier.1.bias is NaN or infinite"),
        ("features.0.1.running_var", -1.0, "the variance features.0.1.running_var is negative"),
    ],
)
def test_weights_that_make_every_answer_nan_are_refused(
    tmp_path: Path, weights: Weights, key: str, value: float, problem: str
) -> None:
    torch.save(weights | {key: torch.full_like(weights[key], value)}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=f"{problem}; use other weights"):
        load_pretrained(network(), tmp_path / "weights.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_of_another_size_is_converted(
    tmp_path: Path, weights: Weights, dtype: torch.dtype
) -> None:
    converted = {key: value.to(dtype) if value.ndim > 1 else value for key, value in weights.items()}
    save_file(converted, tmp_path / "weights.safetensors")
    loaded = network()
    load_pretrained(loaded, tmp_path / "weights.safetensors")
    assert same(loaded, {key: value.to(weights[key].dtype) for key, value in converted.items()})


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn, torch.complex64])
def test_quantized_and_complex_weights_are_refused(
    tmp_path: Path, weights: Weights, dtype: torch.dtype
) -> None:
    save_file(weights | {STEM: weights[STEM].to(dtype)}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=rf"{STEM} has numbers of type {str(dtype)[6:]}; use weights in"):
        load_pretrained(network(), tmp_path / "weights.safetensors")


def test_weights_too_large_for_single_precision_are_refused(tmp_path: Path, weights: Weights) -> None:
    torch.save(weights | {STEM: weights[STEM].double() * 1e60}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=f"the weight {STEM} is NaN or infinite"):
        load_pretrained(network(), tmp_path / "weights.pth")


def own_checkpoint(weights: Weights, classes: list[str]) -> dict[str, Any]:
    return {
        "state_dict": {f"network.{key}": value for key, value in weights.items()},
        "hyper_parameters": {
            "model": {"network": "mobilenet_v2", "filters": 2},
            "classes": classes,
            "preprocessing": {"image_size": 32, "channels": 3, "mean": 0.5, "std": 0.5},
            "data": {"name": "x", "native_size": 32, "mnist_style": False, "fit": "crop"},
        },
        "epoch": 1,
        "global_step": 5,
    }


def test_own_checkpoint_keeps_its_classifier_for_the_same_classes_only(
    tmp_path: Path, weights: Weights
) -> None:
    torch.save(own_checkpoint(weights, list("0123456789")), tmp_path / "own.ckpt")
    same_classes, other_classes = network(), network()
    assert load_pretrained(same_classes, tmp_path / "own.ckpt", list("0123456789")).kept == []
    assert same(same_classes, weights)
    assert len(load_pretrained(other_classes, tmp_path / "own.ckpt", list("abcdefghij")).kept) == 2
    assert not torch.equal(other_classes.classifier[1].bias, weights[BIAS])


def test_folders_named_by_wordnet_ids_keep_the_classifier_of_imagenet(tmp_path: Path) -> None:
    weights = random_weights(width=2, num_classes=1000)
    torch.save(own_checkpoint(weights, imagenet_classes()), tmp_path / "own.ckpt")
    wordnet_ids = [f"n{number:08}" for number in range(1000)]
    for classes, kept in [(wordnet_ids, 0), (wordnet_ids[::-1], 2), (sorted(imagenet_classes()), 2)]:
        assert len(load_pretrained(network(num_classes=1000), tmp_path / "own.ckpt", classes).kept) == kept


class Command:
    def __reduce__(self) -> Any:
        return (open, ("owned", "w"))


def legacy_file(contents: bytes, keys: list[str], end: bytes = b"") -> bytes:
    magic, version = 0x1950A86A20F9469CFC6C, 1001
    head = b"".join(pickle.dumps(value, protocol=2) for value in (magic, version, {"little_endian": True}))
    return head + contents + pickle.dumps(keys, protocol=2) + end


def reference(count: int, kind: Any = torch.FloatStorage) -> bytes:
    """Pickle {"x": tensor of a storage of this kind with this many elements}, without the storage."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", kind, "0", "cpu", count, None) if value is self else None

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Tensor):
                arguments = (self, 0, (count,), (1,), False, OrderedDict())
                return (torch._utils._rebuild_tensor_v2, arguments)
            return NotImplemented

    file = io.BytesIO()
    Pickler(file, protocol=2).dump({"x": torch.ones(1)})
    return file.getvalue()


HOSTILE = {
    "a command": legacy_file(pickle.dumps({"x": Command()}, protocol=2), []),
    "a huge tensor": legacy_file(reference(10**12), ["0"], struct.pack("<q", 10**12)),
    "a text as type": legacy_file(reference(10**15, kind="x"), ["0"], struct.pack("<q", 0)),
    "a list as type": legacy_file(reference(10**15, kind=["x"]), ["0"], struct.pack("<q", 0)),
    "a huge memo": legacy_file(b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".", []),
    "a long bytearray": legacy_file(
        b"\x80\x02c__builtin__\nbytearray\n\x8a\x05" + b"\xff" * 4 + b"\x00\x85R.", []
    ),
    "half a file": legacy_file(reference(4), ["0"], struct.pack("<q", 4) + bytes(7)),
    "no contents": legacy_file(b"", []),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_legacy_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pth").write_bytes(HOSTILE[kind])
    with pytest.raises(InputError, match=r"weights=weights.pth: .* is damaged, or has more than") as error:
        load_pretrained(network(), "weights.pth")
    assert "\n" not in str(error.value)
    assert not Path("owned").exists()


def test_well_formed_legacy_file_of_these_helpers_is_read(tmp_path: Path) -> None:
    """The hostile files differ in one respect only."""
    end = struct.pack("<q4f", 4, 1, 2, 3, 4)
    (tmp_path / "weights.pth").write_bytes(legacy_file(reference(4), ["0"], end))
    with pytest.raises(InputError, match=r"lacks features.0.0.weight, .* for example x; use"):
        load_pretrained(network(), tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (b"", "is not a file of weights"),
        (b"<html>not found</html>", "is not a file of weights"),
        (b"PK\x03\x04 cut short", "is damaged, or has more than"),
        (struct.pack("<Q", 1 << 60) + b"{", "is a damaged safetensors file"),
        (struct.pack("<Q", 2) + b"{}", "has no tensors by name"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, contents: bytes, problem: str) -> None:
    (tmp_path / "weights.safetensors").write_bytes(contents)
    with pytest.raises(InputError, match=problem):
        load_pretrained(network(), tmp_path / "weights.safetensors")


def test_missing_and_exported_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; use imagenet, a file or a run folder"):
        load_pretrained(network(), tmp_path / "none.pth")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match="an exported model cannot be trained"):
        load_pretrained(network(), tmp_path / "model.onnx")

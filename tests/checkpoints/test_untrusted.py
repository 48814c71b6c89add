"""Checkpoints from strangers: no file may run code, exhaust memory or end in more than one line."""

import collections
import copy
import io
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_RUN, Script
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilenet_lab.checkpoints.load import load_checkpoint
from mobilenet_lab.checkpoints.untrusted import MAX_BYTES, MAX_PICKLE
from mobilenet_lab.runtime.errors import InputError


class Call:
    """An object whose pickle is the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object, state: object = None) -> None:
        self.call = function, arguments, state

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...], object]:
        return self.call


class Storage:
    """Four bytes in the archive that the pickle declares as a storage of `count` numbers."""

    def __init__(self, count: int) -> None:
        self.count = count


class TensorPickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return (
            ("storage", torch.FloatStorage, "0", "cpu", value.count) if isinstance(value, Storage) else None
        )


def tensor(count: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Call:
    hooks: dict[str, object] = collections.OrderedDict()
    return Call(torch._utils._rebuild_tensor_v2, Storage(count), offset, size, stride, False, hooks)


def archive(content: bytes, name: str = "x/data.pkl") -> bytes:
    """Wrap a pickle as PyTorch does, with valid checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr(name, content)
        parts.writestr("x/byteorder", "little")
        parts.writestr("x/data/0", b"\0\0\x80?")
        parts.writestr("x/version", "3\n")
    return file.getvalue()


def pickled(**values: object) -> bytes:
    file = io.BytesIO()
    common = {"state_dict": {}, "hyper_parameters": {}, "epoch": 0, "global_step": 0}
    TensorPickler(file, protocol=2).dump(common | values)
    return file.getvalue()


def saved(values: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(values, file, **options)
    return file.getvalue()


def claiming(sizes: int, good: bytes) -> bytes:
    """Return an archive whose directory declares the same wrong size for every entry."""
    file = io.BytesIO(good)
    with zipfile.ZipFile(file, "a") as parts:
        parts.writestr("x/more", b"")
        for part in parts.infolist():
            part.file_size = part.compress_size = sizes
    return file.getvalue()


def sharing(good: bytes) -> bytes:
    """Return an archive whose entries share the same bytes, together a thousand times the file's size."""
    file = io.BytesIO(good)
    with zipfile.ZipFile(file, "a") as parts:
        parts.writestr("x/data/9", bytes(1 << 20))
        for i in range(1000):
            twin = copy.copy(parts.getinfo("x/data/9"))
            twin.filename = f"x/data/{i + 10}"
            parts.filelist.append(twin)
    return file.getvalue()


def other_files(folder: Path) -> dict[str, bytes]:
    """Return files of other programs."""
    npz, png = io.BytesIO(), io.BytesIO()
    np.savez(npz, x=np.zeros(3))
    Image.new("L", (3, 3)).save(png, "PNG")
    return {
        "empty": b"",
        "text": b"nothing",
        "npz": npz.getvalue(),
        "png": png.getvalue(),
        "weights alone": saved({"weights": torch.zeros(3)}),
        "a tensor": saved(torch.zeros(3)),
        "legacy": saved({"state_dict": {}}, _use_new_zipfile_serialization=False),
        "program": archive(pickled(), "x/constants.pkl"),
        "safetensors": (2).to_bytes(8, "little") + b"{}",
    }


def hostile_files(good: bytes) -> dict[str, bytes]:
    """Return archives that would run code or grow when they are opened."""
    nested: list[Any] = []
    for _ in range(64):
        nested = [nested, nested]
    chain: list[Any] = []
    for _ in range(101):
        chain = [chain]
    pairs = [(i, None) for i in range(50_000)]
    attributes = dict.fromkeys(map(str, range(50_000)))
    large = b"".join(
        b"\x8a\x0a" + (i * sys.hash_info.modulus).to_bytes(10, "little") + b"N" for i in range(300_000)
    )
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    return {
        "runs": archive(pickled(extra=Call(os.system, "touch payload-ran"))),
        "opens": archive(pickled(extra=Call(open, "payload-ran", "w"))),
        "evaluates": archive(pickled(extra=Call(eval, "open('payload-ran', 'w')"))),
        "numpy": archive(pickled(extra=np.float64(3))),
        "bytearray": archive(pickled(extra=Call(bytearray, 2 * 10**9))),
        "copies": archive(pickled(extra=[Call(collections.OrderedDict, pairs) for _ in range(200)])),
        "attributes": archive(
            pickled(extra=[Call(collections.OrderedDict, state=attributes) for _ in range(200)])
        ),
        "equal hashes": archive(b"\x80\x02}(" + large + b"u."),
        "Tensor": archive(pickled(extra=Call(torch.Tensor, 10**5, 10**5))),
        "expanded": archive(pickled(extra=tensor(1, (10**5, 10**5), (0, 0)))),
        "expanded weights": archive(pickled(state_dict={"network.x": tensor(1, (10**5, 10**5), (0, 0))})),
        "resized": archive(pickled(extra=tensor(1, (10**5, 10**5), (10**5, 1)))),
        "read beyond": archive(pickled(extra=tensor(10**6, (10**6,), (1,)))),
        "far away": archive(pickled(extra=tensor(1, (1,), (1,), 10**12))),
        "negative": archive(pickled(extra=tensor(1, (-1,), (1,)))),
        "claims much": archive(pickled(extra=tensor(10**11, (10**11,), (1,)))),
        "chain": archive(pickled(extra=chain)),
        "huge number": archive(pickled(extra=10**5000)),
        "long pickle": archive(pickled() + bytes(MAX_PICKLE)),
        "doubling": archive(pickled(hyper_parameters=nested)),
        "deep": archive(deep),
        "no end": archive(b"\x80\x02}"),
        "opcodes": archive(bytes(range(256))),
        "claims sizes": claiming(1 << 40, good),
        "shares bytes": sharing(good),
    }


def malformed_descriptions(good: dict[str, Any]) -> dict[str, bytes]:
    """Return checkpoints of plain values that describe an impossible or an enormous network."""
    target = {"_target_": "builtins.open", "file": "payload-ran", "mode": "w"}
    model_changes: dict[str, dict[str, Any]] = {
        "wide": {"filters": 1024},
        "wider": {"filters": 10**9},
        "num_classes": {"num_classes": 10**9},
        "image size": {"image_size": 10**9},
        "rounding": {"round_to": 10**12},
        "strides": {"strides": [0] * 7},
        "no strides": {"strides": 3},
        "stem": {"stem_stride": 0},
        "dropout": {"dropout": 7.0},
        "words": {"filters": "8"},
        "network": {"network": "os.system"},
        "unhashable": {"network": ["mobilenet_v2"]},
        "unknown argument": {"surprise": 1},
        "number as a key": {1: 1},
        "huge stride": {"stem_stride": 1 << 63},
        "no probability": {"dropout": math.nan},
        "target in model": target,
        "target as network": {"network": target},
        "target as strides": {"strides": target},
    }
    changes: dict[str, dict[str, Any]] = {
        "number of classes": {"classes": ["x"] * 10**6},
        "classes": {"classes": "abc"},
        "no classes": {"classes": []},
        "class with terminal escapes": {"classes": ["\x1b[31m", *"123456789"]},
        "class with a surrogate": {"classes": ["\ud800", *"123456789"]},
        "equal classes": {"classes": list("0012345678")},
        "unknown": {"surprise": 1},
        "target": target,
        "target as model": {"model": target},
        "target as preprocessing": {"preprocessing": target},
        "target as data": {"data": target},
    }
    preprocessing = good["hyper_parameters"]["preprocessing"]
    changes["large and costly"] = {
        "model": good["hyper_parameters"]["model"] | {"stem_stride": 1, "strides": [1] * 7},
        "preprocessing": preprocessing | {"image_size": 4096},
    }
    model = good["hyper_parameters"]["model"]
    changes |= {name: {"model": model | change} for name, change in model_changes.items()}
    files = {
        name: saved(good | {"hyper_parameters": good["hyper_parameters"] | c}) for name, c in changes.items()
    }
    for group, inner in {
        "preprocessing": ({"image_size": 10**9}, {"image_size": -1}, {"channels": 10**9}, {"std": [1.0] * 9},
                          {"mean": "x"}, {"mean": float("nan")}, {"std": 0}, {"resize": "rm"}, target),
        "data": ({"native_size": 10**9}, {"mnist_style": "no"}, {"fit": target}, {"name": target},
                 {"val_split": target}, {"val_split": "${oc.env:HOME}"}, target),
    }.items():  # fmt: skip
        for i, change in enumerate(inner):
            hparams = copy.deepcopy(good["hyper_parameters"])
            hparams[group] |= change
            files[f"{group} {i}"] = saved(good | {"hyper_parameters": hparams})
    weights = good["state_dict"]
    first = next(key for key in weights if key.startswith("network."))
    for name, state in {
        "no dict": [1, 2],
        "no tensors": dict.fromkeys(weights, 1.0),
        "numbers as keys": dict(enumerate(weights.values())),
        "lacking": {key: value for key, value in weights.items() if key != first},
        "too many": weights | {"network.more": torch.zeros(1)},
        "other shape": weights | {first: torch.zeros(3)},
        "no numbers": weights | {first: weights[first] * math.nan},
    }.items():
        files[name] = saved(good | {"state_dict": state})
    return files


OPEN_ALL = """
import json, resource, sys, time
from pathlib import Path
import torch
from mobilenet_lab import Predictor
from mobilenet_lab.runtime.errors import InputError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

Predictor(sys.argv[1])
answers = {}
for path in sorted(Path(sys.argv[2]).iterdir()):
    before, began = peak(), time.process_time()
    try:
        Predictor(path)
        message = None
    except InputError as error:
        message = str(error)
    answers[path.name] = message, peak() - before, time.process_time() - began
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(
    tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str | None, int, float]]:
    """Open each untrusted file; return the message, the growth of memory in MiB and the CPU seconds."""
    good = tiny_run / "checkpoints/best.ckpt"
    folder = tmp_path_factory.mktemp("untrusted")
    (folder / "files").mkdir()
    files = other_files(folder) | hostile_files(good.read_bytes())
    files |= malformed_descriptions(torch.load(good, weights_only=True))
    for name, content in files.items():
        (folder / "files" / name).write_bytes(content)
    with (folder / "files/heavy").open("wb") as file:
        file.write(good.read_bytes())
        file.truncate(MAX_BYTES + 1)
    command = [sys.executable, "-W", "error", "-c", OPEN_ALL, str(good), str(folder / "files")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert not (folder / "payload-ran").exists()
    result: dict[str, tuple[str | None, int, float]] = json.loads(done.stdout)
    assert len(result) == len(files) + 1 > 60
    return result


def test_untrusted_files_are_refused_with_one_line(answers: dict[str, tuple[str | None, int, float]]) -> None:
    assert [name for name, (message, *_) in answers.items() if message is None] == []
    for name, (message, *_) in answers.items():
        assert message is not None
        assert f"files/{name}: " in message
        assert message.isprintable(), name
        assert len(message) < 600, name
        assert "weights_only" not in message


def test_untrusted_files_take_little_memory_and_time(
    answers: dict[str, tuple[str | None, int, float]],
) -> None:
    assert {name: grown for name, (_, grown, _) in answers.items() if grown > 150} == {}
    assert {name: seconds for name, (*_, seconds) in answers.items() if seconds > 30} == {}


def malformed_states(good: dict[str, Any]) -> dict[str, bytes]:
    """Return checkpoints with a valid network and a malformed training state."""
    (optimizer,) = good["optimizer_states"]
    group = optimizer["param_groups"][0]
    position, (schedule,) = good["ImageDataModule"], good["lr_schedulers"]
    changes: dict[str, dict[str, Any]] = {
        "step": {"global_step": "1"},
        "steps": {"global_step": -1},
        "epoch": {"epoch": None},
        "position": {"ImageDataModule": [1]},
        "no batch": {"ImageDataModule": {"epoch": 1}},
        "batch": {"ImageDataModule": position | {"batch": 1.5}},
        "no optimizer": {"optimizer_states": []},
        "optimizer": {"optimizer_states": 5},
        "no rates": {"optimizer_states": [{"state": {}, "param_groups": [{}]}]},
        "rate": {"optimizer_states": [optimizer | {"param_groups": [group | {"initial_lr": "x"}]}]},
        "groups": {"optimizer_states": [optimizer | {"param_groups": [group]}]},
        "no groups": {"optimizer_states": [optimizer | {"param_groups": []}]},
        "moments": {"optimizer_states": [optimizer | {"state": {0: {"momentum_buffer": torch.zeros(3)}}}]},
        "more moments": {"optimizer_states": [optimizer | {"state": {9999: {"x": torch.zeros(3)}}}]},
        "loops": {"loops": 3},
        "no loops": {"loops": {}},
        "loop": {"loops": good["loops"] | {"fit_loop": {"state_dict": 3}}},
        "schedules": {"lr_schedulers": 3},
        "schedule": {"lr_schedulers": [3]},
        "no schedule": {"lr_schedulers": []},
        "no lowest rates": {"lr_schedulers": [schedule | {"min_lrs": []}]},
        "lowest rates": {"lr_schedulers": [schedule | {"min_lrs": 3}]},
        "first rates": {"lr_schedulers": [schedule | {"base_lrs": ["x", "x"]}]},
        "first rates are NaN": {"lr_schedulers": [schedule | {"base_lrs": [math.nan, math.nan]}]},
        "no step of the schedule": {"lr_schedulers": [{}]},
        "step of the schedule": {"lr_schedulers": [schedule | {"last_epoch": "1"}]},
        "steps of the schedule": {"lr_schedulers": [schedule | {"last_epoch": -50}]},
        "many steps of the schedule": {"lr_schedulers": [schedule | {"last_epoch": 10**400}]},
        "count of the schedule": {"lr_schedulers": [schedule | {"_step_count": "x"}]},
        "callbacks": {"callbacks": 3},
        "history": {"callbacks": good["callbacks"] | {"EpochHistory": 3}},
        "score": {"callbacks": good["callbacks"] | {"BestCheckpoint": {"score": "x"}}},
        "sums": {"train_metrics": 3},
    }
    return {f"state: {name}": saved(good | change) for name, change in changes.items()}


RESUME_ALL = """
import json, sys
from pathlib import Path
from hydra import compose, initialize_config_dir
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.run import train
from mobilenet_lab.runtime.atomic_files import write_json

answers = {}
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    for path in sorted(Path(sys.argv[2]).iterdir()):
        try:
            train(compose("train", overrides=[*sys.argv[3:], f"resume='{path}'", "output_dir=run"]))
            answers[path.name] = None
        except InputError as error:
            answers[path.name] = str(error)
print(json.dumps(answers))
"""


def test_resume_from_untrusted_files_is_refused_with_one_line(
    tiny_run: Path, tiny_idx: Path, tmp_path: Path
) -> None:
    good = tiny_run / "checkpoints/last.ckpt"
    state = torch.load(good, weights_only=True)
    files = other_files(tmp_path) | hostile_files(good.read_bytes())
    files |= malformed_descriptions(state) | malformed_states(state)
    (tmp_path / "files").mkdir()
    for name, content in files.items():
        (tmp_path / "files" / name).write_bytes(content)
    settings = [*TINY_RUN, f"data.root={tiny_idx}", "trainer.max_epochs=3", "logger=none"]
    done = subprocess.run(
        [sys.executable, "-c", RESUME_ALL, str(ROOT / "conf"), str(tmp_path / "files"), *settings],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers.keys() == files.keys()
    assert [name for name, message in answers.items() if message is None] == []
    assert [name for name, message in answers.items() if "\n" in message or len(message) > 600] == []
    assert not (tmp_path / "payload-ran").exists()


def test_targets_in_a_checkpoint_are_never_instantiated(
    script: Script, tiny_run: Path, tiny_idx: Path, tmp_path: Path
) -> None:
    good = torch.load(tiny_run / "checkpoints/last.ckpt", weights_only=True)
    target = {"_target_": "builtins.open", "file": str(tmp_path / "payload-ran"), "mode": "w"}
    hparams = good["hyper_parameters"]
    data = hparams["data"] | {"val_split": target}
    torch.save(good | {"hyper_parameters": hparams | target}, tmp_path / "top.ckpt")
    torch.save(good | {"hyper_parameters": hparams | {"data": data}}, tmp_path / "data.ckpt")
    torch.save(good | {"extra": target} | target, tmp_path / "extra.ckpt")
    root = f"data.root={tiny_idx}"
    for done in (
        script("predict.py", "ckpt=top.ckpt", "image=x.png"),
        script("evaluate.py", "ckpt=data.ckpt", "data=idx", root, "split=val"),
        script("train.py", *TINY_RUN, root, "resume=top.ckpt", "trainer.max_epochs=3", "output_dir=run"),
    ):
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    evaluated = script("evaluate.py", "ckpt=extra.ckpt", "data=idx", root)
    assert evaluated.returncode == 0, evaluated.stderr  # unused keys are values like any other
    assert not (tmp_path / "payload-ran").exists()


# Python decodes the strings of a pickle, and damage can put any character after a backslash.
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@settings(deadline=None, derandomize=True, database=None, max_examples=500)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=5),
    cut=st.one_of(st.none(), st.integers(0, 2**20)),
    whole=st.one_of(st.none(), st.binary(max_size=60)),
)
def test_any_pickle_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, int]],
    cut: int | None,
    whole: bytes | None,
) -> None:
    """The damage is inside an archive with valid checksums, so it reaches PyTorch's reader."""
    values = {"network.x": tensor(1, (1,), (1,)), "deep": [{"a": (1, 2.5, None, "text", 10**30, True)}]}
    content = bytearray(pickled(state_dict=values))
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "any.ckpt"
    path.write_bytes(
        archive(whole if whole is not None else bytes(content[: cut % len(content) if cut else None]))
    )
    try:
        assert isinstance(load_checkpoint(path), dict)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - an error is allowed, not required

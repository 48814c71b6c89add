import collections
import copy
import io
import json
import math
import os
import pickle
import resource
import shutil
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

from mobilenet_lab.checkpoints.load import load_checkpoint, load_with_fallback
from mobilenet_lab.checkpoints.untrusted import MAX_BYTES
from mobilenet_lab.checkpoints.writer import AtomicCheckpointIO, copy_atomically
from mobilenet_lab.runs.folder import PREVIOUS
from mobilenet_lab.runtime.atomic_files import write_json
from mobilenet_lab.runtime.errors import InputError


@pytest.fixture
def checkpoint(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copy(tiny_run / "checkpoints/last.ckpt", tmp_path / "last.ckpt"))


def flip_a_bit(path: Path) -> None:
    """In the middle of the largest tensor, where nothing but a checksum can tell."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_noticed(checkpoint: Path) -> None:
    before = load_checkpoint(checkpoint)["state_dict"]
    flip_a_bit(checkpoint)
    after = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert any(not torch.equal(before[key], after[key]) for key in before)  # PyTorch does not notice
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(checkpoint: Path, keep: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match="not a checkpoint, damaged"):
        load_checkpoint(checkpoint)


def test_a_packed_archive_is_refused_before_it_is_unpacked(checkpoint: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(checkpoint) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in archive.infolist():
            packed.writestr(part.filename, archive.read(part))
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(bomb)


def test_the_one_before_is_kept_and_taken(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    value = load_checkpoint(checkpoint)
    writer = AtomicCheckpointIO()
    folder = tmp_path / "run"
    for step in (1, 2, 3):
        writer.save_checkpoint(value | {"global_step": step}, folder / "last.ckpt")
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", PREVIOUS}
    assert load_with_fallback(folder / "last.ckpt")[0]["global_step"] == 3
    assert not caplog.records
    flip_a_bit(folder / "last.ckpt")
    taken, path = load_with_fallback(folder / "last.ckpt")
    assert (taken["global_step"], path.name) == (2, PREVIOUS)
    assert "resuming from the previous checkpoint" in caplog.text
    flip_a_bit(folder / PREVIOUS)
    with pytest.raises(InputError, match=r"previous\.ckpt"):
        load_with_fallback(folder / "last.ckpt")


def test_a_failed_write_leaves_what_was_there(checkpoint: Path, tmp_path: Path) -> None:
    value = load_checkpoint(checkpoint)
    writer = AtomicCheckpointIO()
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(InputError, match=r"last\.ckpt: cannot write the checkpoint: File too large"):
            writer.save_checkpoint(value | {"global_step": 99}, tmp_path / "run/last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"last.ckpt"}
    assert load_checkpoint(tmp_path / "run/last.ckpt")["global_step"] == value["global_step"]


def test_a_file_reaches_the_disk_before_it_gets_its_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    names: dict[int, str] = {}
    open_, fsync, replace = os.open, os.fsync, Path.replace

    def noted_open(path: Any, *arguments: Any, **options: Any) -> int:
        descriptor = open_(path, *arguments, **options)
        names[descriptor] = Path(path).name
        return descriptor

    def noted_fsync(descriptor: int) -> None:
        happened.append(f"sync {names[descriptor]}")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        happened.append(f"{path.name} becomes {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "open", noted_open)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    (tmp_path / "run").mkdir()
    value, writer = load_checkpoint(checkpoint), AtomicCheckpointIO()
    written = ["sync .last.ckpt.tmp", ".last.ckpt.tmp becomes last.ckpt", "sync run"]
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    assert happened == written
    writer.save_checkpoint(value, tmp_path / "run/last.ckpt")
    assert happened[3:] == [written[0], f"last.ckpt becomes {PREVIOUS}", *written[1:]]
    happened.clear()
    copy_atomically(tmp_path / "run/last.ckpt", tmp_path / "run/best.ckpt")
    assert happened == ["sync .best.ckpt.tmp", ".best.ckpt.tmp becomes best.ckpt", "sync run"]
    happened.clear()
    write_json(tmp_path / "run/result.json", {})
    assert happened == ["sync .result.json.tmp", ".result.json.tmp becomes result.json", "sync run"]


def test_a_run_on_a_full_disk_ends_with_one_line(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    """Where no file may be larger: no room for a checkpoint, for TensorBoard's file, for anything."""
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "resume=auto")
    stop = ("+callbacks.stop._target_=stop_after.StopAfter", "+callbacks.stop.steps=9")
    assert script("train.py", *settings, *stop, "output_dir=stopped").returncode == -9
    before = {path.name: path.read_bytes() for path in (tmp_path / "stopped/checkpoints").iterdir()}
    for room in (200_000, 3_000, 300):
        shutil.copytree(tmp_path / "stopped", tmp_path / f"run{room}")
        done = script("train.py", *settings, f"output_dir=run{room}", limits={resource.RLIMIT_FSIZE: room})
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "File too large" in done.stderr
        folder = tmp_path / f"run{room}/checkpoints"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_one_line(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").write_text("in the way")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", "output_dir=run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "run/checkpoints" in done.stderr


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    script: Script, tmp_path: Path, tiny_idx: Path
) -> None:
    settings = (*TINY_RUN, f"data.root={tiny_idx}", "callbacks.checkpoint.every_n_train_steps=5")
    assert script("train.py", *settings, "output_dir=whole").returncode == 0
    assert not (tmp_path / "whole/checkpoints" / PREVIOUS).exists()
    stop = ("+callbacks.stop._target_=stop_after.StopAfter", "+callbacks.stop.steps=12")
    assert script("train.py", *settings, *stop, "output_dir=half").returncode == -9
    flip_a_bit(
        tmp_path / "half/checkpoints/last.ckpt"
    )  # of step 10; the one before is of step 7, an epoch's end
    done = script("train.py", *settings, "output_dir=resumed", "resume=half")
    assert done.returncode == 0, done.stderr
    assert "resuming from the previous checkpoint" in done.stdout
    whole, resumed = (
        load_checkpoint(tmp_path / run / "checkpoints/last.ckpt")["state_dict"]
        for run in ("whole", "resumed")
    )
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []
    # A run that goes on in its own folder does not put the damaged one into the place of the one before.
    stop = (*stop[:1], "+callbacks.stop.steps=11")
    assert script("train.py", *settings, *stop, "output_dir=half", "resume=half").returncode == -9
    for name in ("last.ckpt", PREVIOUS):
        load_checkpoint(tmp_path / "half/checkpoints" / name)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


class Storage:
    """Stands for four bytes of the archive, of which the pickle claims that they are so many numbers."""

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
    """What PyTorch writes, around any pickle, with right checksums."""
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
    """An archive whose directory claims that each part has so many bytes."""
    file = io.BytesIO(good)
    with zipfile.ZipFile(file, "a") as parts:
        parts.writestr("x/more", b"")
        for part in parts.infolist():
            part.file_size = part.compress_size = sizes
    return file.getvalue()


def sharing(good: bytes) -> bytes:
    """An archive whose parts are all the same bytes, so that together they are a thousand times the file."""
    file = io.BytesIO(good)
    with zipfile.ZipFile(file, "a") as parts:
        parts.writestr("x/data/9", bytes(1 << 20))
        for i in range(1000):
            twin = copy.copy(parts.getinfo("x/data/9"))
            twin.filename = f"x/data/{i + 10}"
            parts.filelist.append(twin)
    return file.getvalue()


def other_files(folder: Path) -> dict[str, bytes]:
    """Files of other programs."""
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
    """Archives that would run something, or grow, when they are opened."""
    nested: list[Any] = []
    for _ in range(64):
        nested = [nested, nested]
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    return {
        "runs": archive(pickled(extra=Call(os.system, "touch payload-ran"))),
        "opens": archive(pickled(extra=Call(open, "payload-ran", "w"))),
        "evaluates": archive(pickled(extra=Call(eval, "open('payload-ran', 'w')"))),
        "numpy": archive(pickled(extra=np.float64(3))),
        "bytearray": archive(pickled(extra=Call(bytearray, 2 * 10**9))),
        "Tensor": archive(pickled(extra=Call(torch.Tensor, 10**5, 10**5))),
        "expanded": archive(pickled(extra=tensor(1, (10**5, 10**5), (0, 0)))),
        "expanded weights": archive(pickled(state_dict={"network.x": tensor(1, (10**5, 10**5), (0, 0))})),
        "resized": archive(pickled(extra=tensor(1, (10**5, 10**5), (10**5, 1)))),
        "read beyond": archive(pickled(extra=tensor(10**6, (10**6,), (1,)))),
        "far away": archive(pickled(extra=tensor(1, (1,), (1,), 10**12))),
        "negative": archive(pickled(extra=tensor(1, (-1,), (1,)))),
        "claims much": archive(pickled(extra=tensor(10**11, (10**11,), (1,)))),
        "doubling": archive(pickled(hyper_parameters=nested)),
        "deep": archive(deep),
        "no end": archive(b"\x80\x02}"),
        "opcodes": archive(bytes(range(256))),
        "claims sizes": claiming(1 << 40, good),
        "shares bytes": sharing(good),
    }


def strange_descriptions(good: dict[str, Any]) -> dict[str, bytes]:
    """Checkpoints of plain values that describe what cannot be, or what no machine has room for."""
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
        "target in model": target,
        "target as network": {"network": target},
        "target as strides": {"strides": target},
    }
    changes: dict[str, dict[str, Any]] = {
        "number of classes": {"classes": ["x"] * 10**6},
        "classes": {"classes": "abc"},
        "no classes": {"classes": []},
        "unknown": {"surprise": 1},
        "target": target,
        "target as model": {"model": target},
        "target as preprocessing": {"preprocessing": target},
        "target as data": {"data": target},
    }
    model = good["hyper_parameters"]["model"]
    changes |= {name: {"model": model | change} for name, change in model_changes.items()}
    files = {
        name: saved(good | {"hyper_parameters": good["hyper_parameters"] | c}) for name, c in changes.items()
    }
    for group, inner in {
        "preprocessing": ({"image_size": 10**9}, {"image_size": -1}, {"channels": 10**9}, {"std": [1.0] * 9},
                          {"mean": "x"}, {"mean": float("nan")}, {"resize": "rm"}, target),
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
    """What opening each untrusted file came to: a message, MiB by which memory grew, processor seconds."""
    good = tiny_run / "checkpoints/best.ckpt"
    folder = tmp_path_factory.mktemp("untrusted")
    (folder / "files").mkdir()
    files = other_files(folder) | hostile_files(good.read_bytes())
    files |= strange_descriptions(torch.load(good, weights_only=True))
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


def test_untrusted_files_are_refused_in_one_line(answers: dict[str, tuple[str | None, int, float]]) -> None:
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


def strange_states(good: dict[str, Any]) -> dict[str, bytes]:
    """Checkpoints whose network is fine, and whose run cannot go on."""
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
        "first rates of no number": {"lr_schedulers": [schedule | {"base_lrs": [math.nan, math.nan]}]},
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


def test_no_run_goes_on_from_an_untrusted_file(tiny_run: Path, tiny_idx: Path, tmp_path: Path) -> None:
    good = tiny_run / "checkpoints/last.ckpt"
    state = torch.load(good, weights_only=True)
    files = other_files(tmp_path) | hostile_files(good.read_bytes())
    files |= strange_descriptions(state) | strange_states(state)
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


def test_targets_in_a_checkpoint_are_never_made(
    script: Script, tiny_run: Path, tiny_idx: Path, tmp_path: Path
) -> None:
    good = torch.load(tiny_run / "checkpoints/last.ckpt", weights_only=True)
    target = {"_target_": "builtins.open", "file": str(tmp_path / "payload-ran"), "mode": "w"}
    hparams = good["hyper_parameters"]
    data = hparams["data"] | {"val_split": target}
    torch.save(good | {"hyper_parameters": hparams | target}, tmp_path / "top.ckpt")
    torch.save(good | {"hyper_parameters": hparams | {"data": data}}, tmp_path / "data.ckpt")
    torch.save(good | {"extra": target} | target, tmp_path / "beside.ckpt")
    root = f"data.root={tiny_idx}"
    for done in (
        script("predict.py", "ckpt=top.ckpt", "image=x.png"),
        script("evaluate.py", "ckpt=data.ckpt", "data=idx", root, "split=val"),
        script("train.py", *TINY_RUN, root, "resume=top.ckpt", "trainer.max_epochs=3", "output_dir=run"),
    ):
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    evaluated = script("evaluate.py", "ckpt=beside.ckpt", "data=idx", root)
    assert evaluated.returncode == 0, evaluated.stderr  # where nobody looks, they are values as any other
    assert not (tmp_path / "payload-ran").exists()


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
    """The damage lies inside, where checksums are right and PyTorch's own reader has to cope with it."""
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
        assert str(path) in str(error)  # noqa: PT017 - that there is an error is not asked for

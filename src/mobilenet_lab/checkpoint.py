"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import difflib
import io
import logging
import math
import os
import pickle
import pickletools
import shlex
import struct
import sys
import zipfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.overrides import TorchFunctionMode

log = logging.getLogger(__name__)

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"
BEST = "best.ckpt"
LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"  # while a run is under way, what LAST was before
GIVEN_SETTINGS = "MOBILENET_LAB_SETTINGS"  # for ranks that are started with others
REQUIRED_KEYS = ("state_dict", "hyper_parameters", "epoch", "global_step")

# Reading a stranger's file takes a small multiple of its size, and never more than these.
MAX_BYTES = 1 << 32  # of a file; width 8.0 with Adam's moments has 1.7 GB
MAX_GROWTH = 16  # of tensors: a file may hold one row and say that there are many like it
MAX_VALUES = 1 << 20  # in a file, counted as often as they are referred to
MAX_SIDE = 4096  # pixels of a picture
MAX_STEPS = 1 << 53  # up to which double precision tells whole numbers apart
PROTOCOL = 2  # of the pickles that PyTorch writes
# What PyTorch writes for plain values and tensors. Its own list is longer: bytearray(10**12) is on it.
STORAGES = ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
PLAIN_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage" for kind in STORAGES
}


def find_checkpoint(where: str, key: str = "ckpt", prefer: str = "best") -> Path:
    """The checkpoint file that a user means.

    Args:
        where: A checkpoint file, a run folder, or `latest`.
        key: The setting's name, for messages.
        prefer: Which file of a run folder: "best" to use, "last" to go on.

    Raises:
        FileNotFoundError: there is none; the message lists those there are.
    """
    # Resolved, since the link may point elsewhere by the time the file is read.
    try:
        path = LATEST.resolve() if where == "latest" else Path(where).resolve()
    except RuntimeError as error:  # Python's own, before 3.13
        raise FileNotFoundError(f"{key}={where}: links that lead in a circle") from error
    if path.is_file():
        return path
    names = (BEST, LAST, PREVIOUS) if prefer == "best" else (LAST, PREVIOUS, BEST)
    for name in names:
        for candidate in (path / "checkpoints" / name, path / name):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(f"{key}={where}: no checkpoint there; {_runs_there_are(path)}")


def find_checkpoints(where: str | Path | Iterable[str | Path]) -> list[Path]:
    """The file or files that one or several of what `find_checkpoint` takes mean."""
    return [find_checkpoint(str(one)) for one in ([where] if isinstance(where, str | Path) else where)]


def resume_command(folder: Path) -> str:
    """What goes on with a run: the command that began it, with `resume`."""
    kept = [setting for setting in given_settings() if not setting.startswith("resume=")]
    return shlex.join(["python", "train.py", *kept, f"resume={folder}"])


def given_settings() -> list[str]:
    """What followed train.py on the command line; nothing where something else calls us."""
    if GIVEN_SETTINGS in os.environ:
        return shlex.split(os.environ[GIVEN_SETTINGS])
    for i, argument in enumerate(sys.orig_argv):  # as it was, without the quotes that Hydra needs
        if Path(argument).name == "train.py":
            return sys.orig_argv[i + 1 :]
    return []


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Whole epochs that the run of a checkpoint has behind it."""
    position = checkpoint["ImageDataModule"]
    return int(position["epoch"] + (position["batch"] == 0))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project.

    Raises:
        InputError: it is damaged, holds anything but plain values and tensors, or is another program's.
    """
    import torch

    try:
        checkpoint = torch.load(_checked_copy(path), map_location="cpu", weights_only=True)
        _check_values(checkpoint, MAX_GROWTH * path.stat().st_size)
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        OverflowError,
        struct.error,
    ) as error:
        # PyTorch's own words would advise to switch the protection off.
        raise InputError(
            f"{path}: no checkpoint, a damaged one, or one that holds more than plain values and tensors"
        ) from error
    missing = [key for key in REQUIRED_KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise InputError(f"{path}: not a checkpoint of this project, it lacks {', '.join(missing)}")
    return checkpoint


def load_or_previous(path: Path) -> tuple[dict[str, Any], Path]:
    """Read a checkpoint to go on from; where it is damaged, the one that was last before it.

    Returns:
        The checkpoint, and the file that it came from.

    Raises:
        InputError: neither can be read.
    """
    try:
        return load_checkpoint(path), path
    except InputError as error:
        previous = path.with_name(PREVIOUS)
        if path.name == PREVIOUS or not previous.is_file():
            raise
        log.warning("%s; going on from the one before it, %s", error, previous)
        return load_checkpoint(previous), previous


def check_state(checkpoint: dict[str, Any], path: Path, parameters: Sequence["Tensor"]) -> None:
    """Refuse what is no state of a run to go on from.

    Args:
        checkpoint: What it holds.
        path: Its file, for the message.
        parameters: All that the optimizer changes, in its order.

    Raises:
        InputError: positions, schedules, the optimizer's settings or its tensors are not of the kind that
            is written.
    """
    try:
        position, (optimizer,) = checkpoint["ImageDataModule"], checkpoint["optimizer_states"]
        (schedule,) = checkpoint["lr_schedulers"]
        counts = [checkpoint["epoch"], checkpoint["global_step"], position["epoch"], position["batch"]]
        counts += [schedule["last_epoch"], schedule.get("_step_count", 0)]
        moments = [
            value.shape == parameters[index].shape
            for index, values in optimizer["state"].items()
            for value in values.values()
            if getattr(value, "ndim", 0)
        ]
        rates = [group.get("initial_lr", group["lr"]) for group in optimizer["param_groups"]]
        of_schedule = [schedule.get(key, rates) for key in ("base_lrs", "min_lrs")]
        is_position = all(_is_whole(n) and 0 <= n <= MAX_STEPS for n in counts)
        has_rates = all(
            len(ones) == len(rates) > 0 and all(map(_is_number, ones)) for ones in [rates, *of_schedule]
        )
        is_valid = is_position and has_rates and all(moments)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise InputError(f"{path}: no state of a run to go on from")


def _checked_copy(path: Path) -> io.BytesIO:
    """Check the archive that a checkpoint is, and hand on exactly what was checked.

    PyTorch's own reader looks at no checksum, and may find other parts in the same bytes than Python's.

    Raises:
        zipfile.BadZipFile: it is damaged, states sizes that it does not have, or is no checkpoint.
        pickle.UnpicklingError: it names what is no part of plain values and tensors.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise zipfile.BadZipFile(f"more than {MAX_BYTES:,} bytes")
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as checked:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise zipfile.BadZipFile("packed parts, which PyTorch never writes")
        if sum(part.file_size for part in parts) > size:
            raise zipfile.BadZipFile("parts that claim to be larger than the file")
        for part in parts:
            content = archive.read(part)  # compares the checksum
            if part.filename.endswith("constants.pkl"):
                raise zipfile.BadZipFile("a program, not a checkpoint")
            if part.filename.endswith(".pkl"):
                _check_globals(content)
            checked.writestr(part.filename, content)
    copy.seek(0)
    return copy


def _check_globals(content: bytes) -> None:
    """Refuse a pickle that names any class or function beyond those of plain values and tensors."""
    for opcode, argument, _ in pickletools.genops(content):
        is_name = opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST")
        if is_name and argument not in PLAIN_GLOBALS:
            raise pickle.UnpicklingError(f"names {argument}")
        if opcode.name == "PROTO" and argument != PROTOCOL:
            raise pickle.UnpicklingError(f"protocol {argument}, which PyTorch does not write")


def _check_values(checkpoint: Any, max_bytes: int) -> None:
    """Refuse what looks small in the file but would not stay so, and what is neither value nor tensor."""
    import torch

    left, waiting = MAX_VALUES, [checkpoint]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            members = [*dict.keys(value), *dict.values(value)]
        elif isinstance(value, list | tuple):
            members = list(value)
        elif isinstance(value, torch.Tensor):
            if (max_bytes := max_bytes - value.numel() * value.element_size()) < 0:
                raise ValueError("tensors that are far larger than the file")
            continue
        elif value is None or isinstance(value, str | int | float | bytes):
            continue
        else:
            raise ValueError(f"holds a {type(value).__name__}")
        if (left := left - len(members)) < 0:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        waiting += members


def network_from(checkpoint: dict[str, Any], path: Path) -> "nn.Module":
    """Build the checkpoint's network with its weights, ready to predict.

    Raises:
        InputError: the weights do not fit the network that the checkpoint describes.
    """
    from mobilenet_lab.models import build_network

    _check_hyper_parameters(checkpoint["hyper_parameters"], path)
    hparams = dict(checkpoint["hyper_parameters"])
    try:
        name, classes = hparams.pop("network"), hparams.pop("classes")
        preprocessing = hparams.pop("preprocessing")
        for key in ("data", "label_smoothing"):
            hparams.pop(key)
        prefix = "network."
        weights = {
            key.removeprefix(prefix): value
            for key, value in checkpoint["state_dict"].items()
            if key.startswith(prefix)
        }
        # The description may ask for a network larger than the weights, or than any machine.
        build = partial(
            build_network, name, in_channels=preprocessing["channels"], num_classes=len(classes), **hparams
        )
        with _without_memory():
            _check_shapes(build().state_dict(), weights)
        network = build()
        network.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the weights do not fit the network it describes: {reason}") from error
    return network.eval()


def _without_memory() -> "TorchFunctionMode":
    """A context in which layers are built of tensors that have a shape but no values.

    `torch.device("meta")` does so, too, but imports for three seconds first.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    makes = (torch.empty, torch.zeros, torch.ones, torch.tensor)
    init = torch.nn.init
    draws = (torch.Tensor.normal_, torch.Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_)

    class WithoutMemory(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func in draws:
                return args[0] if args else kwargs["tensor"]
            if func in makes:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    return WithoutMemory()


def _check_shapes(described: dict[str, Any], weights: dict[str, Any]) -> None:
    for key in described.keys() | weights.keys():
        wanted, found = (tuple(some[key].shape) if key in some else None for some in (described, weights))
        if wanted != found:
            raise ValueError(f"{key[:80]} should have shape {wanted}, not {found}")


def _check_hyper_parameters(hparams: Any, path: Path) -> None:
    """Refuse what is not of the kind that this project writes, before anything is built of it.

    Raises:
        InputError: a value has another type, or is out of range.
    """
    is_dict = isinstance(hparams, dict)
    preprocessing, data = (hparams.get(key) if is_dict else None for key in ("preprocessing", "data"))
    if not (isinstance(preprocessing, dict) and isinstance(data, dict)):
        raise InputError(f"{path}: not a checkpoint of this project, it does not describe its pictures")
    classes = hparams.get("classes")
    channels = preprocessing.get("channels")
    valid = {
        "network": isinstance(hparams.get("network"), str),
        "classes": isinstance(classes, list | tuple) and {type(name) for name in classes} == {str},
        "preprocessing.channels": _is_whole(channels) and channels in (1, 3),
        "preprocessing.image_size": _is_side(preprocessing.get("image_size")),
        "preprocessing.mean": _is_per_channel(preprocessing.get("mean"), channels),
        "preprocessing.std": _is_per_channel(preprocessing.get("std"), channels),
        "data.name": isinstance(data.get("name"), str),
        "data.picture_size": _is_side(data.get("picture_size")),
        "data.digits": isinstance(data.get("digits"), bool),
        "data.fit": data.get("fit") in ("crop", "pad", "stretch"),
    }
    for key in data.keys() - {"name", "fit", "picture_size", "digits"}:
        valid[f"data.{key}"] = data[key] is None or isinstance(data[key], bool) or _is_number(data[key])
    wrong = [key for key, is_valid in valid.items() if not is_valid]
    if wrong:
        raise InputError(f"{path}: not a checkpoint of this project, its {', '.join(wrong)} cannot be")


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    return (_is_whole(value) and abs(value) <= MAX_STEPS) or (type(value) is float and math.isfinite(value))


def _is_side(value: Any) -> bool:
    return _is_whole(value) and 1 <= value <= MAX_SIDE


def _is_per_channel(value: Any, channels: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) in (1, channels) and all(map(_is_number, value))
    return _is_number(value)


def _runs_there_are(wrong: Path) -> str:
    """The run with the nearest name, here or beside the wrong path, and the newest ones."""
    found = sorted(OUTPUTS.glob("*/*/checkpoints"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    newest = [str(folder.parent) for folder in found]
    beside = [
        os.path.relpath(folder.parent)
        for parent in dict.fromkeys((wrong.parent, wrong.parent.parent))
        for folder in sorted(parent.glob("*/checkpoints"))
    ]
    near = difflib.get_close_matches(os.path.relpath(wrong), [*beside, *newest], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    if newest:
        return f"{hint}the newest runs are {', '.join(newest[:3])}"
    return hint.strip() or "train one first: python train.py"

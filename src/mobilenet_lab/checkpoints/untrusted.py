"""Find and open checkpoints: plain values and tensors only, nothing in them is ever run."""

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

# Reading a stranger's file takes a small multiple of its size, and never more than these.
MAX_BYTES = 1 << 32  # of a file; width 8.0 with Adam's moments has 1.7 GB


MAX_GROWTH = 16  # of tensors: a file may hold one row and say that there are many like it


MAX_VALUES = 1 << 20  # in a file, counted as often as they are referred to


PROTOCOL = 2  # of the pickles that PyTorch writes


# What PyTorch writes for plain values and tensors. Its own list is longer: bytearray(10**12) is on it.
STORAGES = ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")


PLAIN_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage" for kind in STORAGES
}


def checked_copy(path: Path) -> io.BytesIO:
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


def check_values(checkpoint: Any, max_bytes: int) -> None:
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

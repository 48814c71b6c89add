"""Checks that keep a hostile checkpoint from running code or exhausting memory.

PyTorch's `weights_only=True` prevents the first. `check_pickle` comes before it, because its list of allowed
names is longer than needed: it contains `bytearray`, for example, and `bytearray(10**12)` takes a terabyte.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

from mobilenet_lab.checkpoints.plain_pickle import check_pickle

# Reading an untrusted file takes a small multiple of its size, and never exceeds these limits.
MAX_BYTES = 1 << 32  # of the file; width 8.0 with Adam's moments has 1.7 GB
MAX_GROWTH = 16  # tensors over file size; a stride of 0 turns one stored row into a huge tensor
MAX_VALUES = 1 << 20  # of the file; a value counts as often as it is referred to
MAX_PICKLE = 1 << 23  # bytes, without tensors; 8,000,000 instructions take a quarter of a minute
MAX_DEPTH = 100  # of lists and dictionaries in each other
MAX_BITS = 1024  # of an integer; Python refuses to print 15,000


def checked_copy(path: Path) -> io.BytesIO:
    """Check the archive of a checkpoint and return exactly the bytes that were checked.

    PyTorch's reader verifies no checksums, and may find other entries in the same bytes than Python's does.

    Raises:
        zipfile.BadZipFile: The archive is damaged, declares wrong sizes, or is not a checkpoint.
        pickle.UnpicklingError: The pickle is malformed, holds something other than plain values and tensors,
            or takes far more memory than the file.
        TypeError, ValueError: The pickle is malformed.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise zipfile.BadZipFile(f"more than {MAX_BYTES:,} bytes")
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as checked:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise zipfile.BadZipFile("compressed entries, which PyTorch never writes")
        if sum(entry.file_size for entry in entries) > size:
            raise zipfile.BadZipFile("entries that claim to be larger than the file")
        for entry in entries:
            content = archive.read(entry)  # verifies the checksum
            if entry.filename.endswith("constants.pkl"):
                raise zipfile.BadZipFile("a TorchScript program, not a checkpoint")
            if entry.filename.endswith(".pkl"):
                if len(content) > MAX_PICKLE:
                    raise zipfile.BadZipFile(f"more than {MAX_PICKLE:,} bytes of plain values")
                check_pickle(content, size)
            checked.writestr(entry.filename, content)
    copy.seek(0)
    return copy


def check_values(checkpoint: Any, max_bytes: int) -> None:
    """Refuse contents that are larger than their file suggests, or neither plain values nor tensors.

    Args:
        checkpoint: The contents.
        max_bytes: Limit on the size of all tensors together.

    Raises:
        ValueError: A limit is exceeded, or a value has another type.
    """
    import torch

    left, waiting = MAX_VALUES, [(0, checkpoint)]
    while waiting:
        depth, value = waiting.pop()
        if isinstance(value, dict):
            members = [*dict.keys(value), *dict.values(value)]
        elif isinstance(value, list | tuple):
            members = list(value)
        elif isinstance(value, torch.Tensor):
            if (max_bytes := max_bytes - value.numel() * value.element_size()) < 0:
                raise ValueError("tensors that are far larger than the file")
            continue
        elif isinstance(value, int):
            if value.bit_length() > MAX_BITS:
                raise ValueError(f"an integer of {value.bit_length():,} bits")
            continue
        elif value is None or isinstance(value, str | float | bytes):
            continue
        else:
            raise ValueError(f"holds a {type(value).__name__}")
        if (left := left - len(members)) < 0:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        if depth == MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} values in each other")
        waiting += [(depth + 1, member) for member in members]

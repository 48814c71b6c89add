"""Check files that PyTorch before 1.6 wrote: pickles in sequence instead of an archive.

torchvision's oldest weights have this format. The file holds a magic number, a version, sizes of types, the
contents, the keys of the storages, and then the bytes of each storage.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mobilenet_lab.checkpoints.untrusted import MAX_BYTES, MAX_PICKLE, MAX_VALUES, check_globals

START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of PyTorch's magic number
NUM_PICKLES = 5
MEMO_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")
BYTES_PER_ELEMENT = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2}


def is_legacy(path: Path) -> bool:
    """Return whether a file starts like those of PyTorch before 1.6."""
    with path.open("rb") as file:
        return file.read(len(START)) == START


def checked_legacy_copy(path: Path) -> io.BytesIO:
    """Check a file of PyTorch before 1.6, and return exactly the bytes that were checked.

    Raises:
        pickle.UnpicklingError: A pickle names something other than plain values and tensors, is malformed, or
            asks for more memory than the file has bytes.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise pickle.UnpicklingError(f"more than {MAX_BYTES:,} bytes")
    copy = io.BytesIO(path.read_bytes())
    view = copy.getbuffer()
    for _ in range(NUM_PICKLES):
        start = copy.tell()
        head = io.BytesIO(view[start : start + MAX_PICKLE])
        for opcode, argument, _ in pickletools.genops(head):
            # The unpickler allocates an array of as many elements.
            if opcode.name in MEMO_OPCODES and int(argument or 0) > MAX_VALUES:
                raise pickle.UnpicklingError("an index that PyTorch never writes")
        content = head.getvalue()[: head.tell()]
        check_globals(content)
        sizes = _StorageSizes(io.BytesIO(content))
        sizes.load()
        if sum(sizes.bytes_by_key.values()) > size:
            raise pickle.UnpicklingError("tensors that are larger than the file")
        copy.seek(start + len(content))
    view.release()
    copy.seek(0)
    return copy


class _StorageSizes(pickle.Unpickler):
    """Reads a pickle whose names `check_globals` has checked, and builds no tensor.

    Attributes:
        bytes_by_key: Size of each storage that the pickle refers to.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.bytes_by_key: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return a substitute for a class or function of PyTorch."""
        if module == "collections":
            return OrderedDict
        return BYTES_PER_ELEMENT.get(name.removesuffix("Storage"), 1) if module == "torch" else _no_tensor

    def persistent_load(self, reference: Any) -> None:
        """Note the size of a storage."""
        kind, element, key, _, count, view = reference
        if kind != "storage" or view is not None or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError("a reference that is not to a storage")
        self.bytes_by_key[key] = max(self.bytes_by_key.get(key, 0), element * count)


def _no_tensor(*_: Any) -> None:
    return None

"""Check a pickle of plain values and tensors before PyTorch reads it.

PyTorch's `weights_only=True` runs no code, but a short pickle may still ask for any amount of memory: as the
argument of `bytearray`, as an index of the unpickler's memo, or as copies of one large dictionary. A
dictionary of integers with the same hash takes hours.
"""

import io
import pickle
import pickletools
from typing import Any

MAX_MEMO = 1 << 20  # index of a value that the pickle refers to again; the unpickler allocates as many
MAX_ATTRIBUTES = 8  # of a dictionary; a state_dict has one, `_metadata`
MAX_LARGE = 1000  # integers of more than HASH_BITS bits, any number of which may have the same hash
HASH_BITS = 60

PROTOCOL = 2  # of the pickles that PyTorch writes
BYTES_PER_ELEMENT = {
    "BFloat16": 2,
    "Bool": 1,
    "Byte": 1,
    "Char": 1,
    "Double": 8,
    "Float": 4,
    "Half": 2,
    "Int": 4,
    "Long": 8,
    "Short": 2,
}
# The only names in a pickle of plain values and tensors
PLAIN_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage" for kind in BYTES_PER_ELEMENT
}
MEMO_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")


def check_pickle(content: bytes, max_bytes: int) -> None:
    """Refuse a pickle of anything but plain values and tensors, and one that takes far more memory.

    Args:
        content: The pickle.
        max_bytes: Limit on the size of all tensors together.

    Raises:
        pickle.UnpicklingError: The pickle is malformed, names another class or function, or exceeds a limit.
        TypeError, ValueError: The pickle is malformed.
    """
    large = 0
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST") and argument not in PLAIN_GLOBALS:
            raise pickle.UnpicklingError(f"names {argument}")
        if opcode.name == "PROTO" and argument != PROTOCOL:
            raise pickle.UnpicklingError(f"protocol {argument}, which PyTorch does not write")
        if opcode.name in MEMO_OPCODES and int(argument or 0) > MAX_MEMO:
            raise pickle.UnpicklingError("an index that PyTorch never writes")
        large += isinstance(argument, int) and argument.bit_length() > HASH_BITS
        if large > MAX_LARGE:
            raise pickle.UnpicklingError(f"more than {MAX_LARGE:,} large integers")
    contents = _WithoutTensors(io.BytesIO(content))
    contents.load()
    if sum(contents.bytes_by_key.values()) > max_bytes:
        raise pickle.UnpicklingError("tensors that are larger than the file")


class _WithoutTensors(pickle.Unpickler):
    """Reads a pickle whose names are checked, and builds no tensor.

    Attributes:
        bytes_by_key: Size of each storage that the pickle refers to.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.bytes_by_key: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return a substitute for a class or function."""
        if module == "collections":
            return _Dictionary
        return BYTES_PER_ELEMENT[name.removesuffix("Storage")] if module == "torch" else _no_tensor

    def persistent_load(self, reference: Any) -> None:
        """Note the size of a storage."""
        kind, element, key, _, count, *view = reference
        # The product of a text or a list and a number would be a huge text or list.
        are_sizes = all(type(value) is int and value >= 0 for value in (element, count))
        if kind != "storage" or view not in ([], [None]) or not are_sizes:
            raise pickle.UnpicklingError("a reference that is not to a storage")
        self.bytes_by_key[key] = max(self.bytes_by_key.get(key, 0), element * count)


class _Dictionary(dict[Any, Any]):
    """Takes the place of `OrderedDict`, which PyTorch writes without arguments and with few attributes.

    The others would be copies of dictionaries, each as large as the whole file.
    """

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, attributes: Any) -> None:
        if not isinstance(attributes, dict) or len(attributes) > MAX_ATTRIBUTES:
            raise pickle.UnpicklingError("attributes that PyTorch does not write")


def _no_tensor(*_: Any) -> None:
    return None

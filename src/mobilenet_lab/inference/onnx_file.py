"""Checks of an ONNX file that may be untrusted, before onnxruntime reads it.

They read the file's own structure, Protocol Buffers (https://protobuf.dev/programming-guides/encoding), so
that prediction does not need the package onnx. The names and numbers of fields are those of `onnx.proto`,
version 1.20. onnxruntime limits memory itself; see `onnx_session`.
"""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

MAX_BYTES = (1 << 31) - 1  # of a file in the format of Protocol Buffers
MAX_NODES = 1 << 14  # MobileNetV2 has 104
STANDARD_DOMAINS = (b"", b"ai.onnx")  # of operators; the others depend on libraries

MAX_VARINT = 10  # bytes of an integer
MAX_TAG = 1 << 32


class Wire(IntEnum):
    """How a field is encoded."""

    VARINT = 0
    BITS_64 = 1
    BYTES = 2
    BITS_32 = 5


# What to read in each message: by field number, the kind of message in the field
MESSAGES = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor"},
    "tensor": {},
}
# Fields that none of this project's files has
REFUSED = {
    "model": {20: "steps of a training", 25: "functions of its own"},
    "graph": {15: "sparse weights"},
    "attribute": {
        6: "branches or loops",
        11: "branches or loops",
        22: "sparse weights",
        23: "sparse weights",
    },
    "tensor": {13: "weights in other files"},
}
DOMAIN = 7  # of a node
DATA_LOCATION = 14  # of a tensor; 0 is in the file itself

Field = tuple[int, int, int, int]  # number, wire type, and start and end of the value


def read_onnx(path: Path) -> bytes:
    """Return the contents of an ONNX file that needs nothing but onnxruntime's standard operators.

    Raises:
        InputError: The file is too large, is not an ONNX file, or has something that a trained network does
            not need: weights in other files, operators of other domains, functions, branches or loops.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path}: has {size:,} bytes; an ONNX file has at most {MAX_BYTES:,}")
    content = path.read_bytes()
    try:
        refusal = _find_refused(content)
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: not an ONNX file, or damaged; use another file") from error
    if refusal is not None:
        raise InputError(f"{path}: has {refusal}, which is not supported; export it with export.py")
    return content


def _find_refused(content: bytes) -> str | None:
    """Return what the file has that is refused, or None.

    Raises:
        ValueError: The encoding is wrong, or there is no graph.
        IndexError: The file ends in the middle of a value.
    """
    nodes = graphs = 0
    waiting = [("model", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        inner, refused = MESSAGES[message], REFUSED.get(message, {})
        nodes += message == "node"
        graphs += message == "graph"
        if nodes > MAX_NODES:
            return f"more than {MAX_NODES:,} operators"
        for number, wire, first, last in _fields(content, start, end):
            if number in refused and wire == Wire.BYTES:
                return refused[number]
            if number in inner and wire == Wire.BYTES:
                waiting.append((inner[number], first, last))
            elif message == "node" and number == DOMAIN and content[first:last] not in STANDARD_DOMAINS:
                return f"operators of {printable(content[first:last][:60].decode(errors='replace'))}"
            elif message == "tensor" and number == DATA_LOCATION and content[first:last] != b"\0":
                return "weights in other files"
    if not graphs:
        raise ValueError("no graph")
    return None


def _fields(content: bytes, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message in `content[start:end]`.

    Raises:
        ValueError: A field is longer than the message, or has an unknown wire type.
        IndexError: The message is at the end of the file and ends in the middle of a number.
    """
    position = start
    while position < end:
        tag, position = _varint(content, position)
        number, wire = tag >> 3, tag & 7
        first = position
        if wire == Wire.VARINT:
            position = _varint(content, position)[1]
        elif wire == Wire.BYTES:
            length, first = _varint(content, position)
            position = first + length
        elif wire in (Wire.BITS_64, Wire.BITS_32):
            position += 8 if wire == Wire.BITS_64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position > end or not 0 < number < MAX_TAG >> 3:
            raise ValueError("a field is longer than its message, or has no number")
        yield number, wire, first, position


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return the integer at a position, of 7 bits per byte, and the position behind it."""
    value = content[position]
    if value < 0x80:
        return value, position + 1
    value &= 0x7F
    for i in range(1, MAX_VARINT):
        byte = content[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise ValueError("a number of more than 64 bits")

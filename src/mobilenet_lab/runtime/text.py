"""Text that a terminal shows as one line, whoever wrote it and whatever the terminal's encoding."""

import codecs
import io
from collections.abc import Sequence
from typing import IO

ERRORS = "bytes_or_escapes"  # name of the codec error handler below
JOINERS = "\u200c\u200d"  # invisible, but part of words in Persian and Hindi and of emoji


def printable(text: str) -> str:
    """Return a text with line breaks, terminal escapes and other unprintable characters escaped.

    File names, class names and everything else that comes from outside is shown this way.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def accept_any_text(stream: IO[str]) -> None:
    """Let a stream print every text.

    A file name that is not UTF-8 is printed as the bytes that it has, and a character outside the encoding as
    its escape.
    """
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(ERRORS, _bytes_or_escapes)
        stream.reconfigure(errors=ERRORS)


def _bytes_or_escapes(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    # Python represents a byte that cannot be decoded by a surrogate with this offset (PEP 383).
    encoded = (
        bytes([ord(c) - 0xDC00]) if "\udc80" <= c <= "\udcff" else c.encode("ascii", "backslashreplace")
        for c in characters
    )
    return b"".join(encoded), error.end

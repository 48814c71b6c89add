"""Which names classes may have, in data sets and in checkpoints."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from mobilenet_lab.runtime.errors import InputError

MAX_CLASSES = 1 << 15  # a confusion matrix has 8 GiB then
MAX_LENGTH = 255  # characters; a file name has at most 255 bytes
MAX_SHOWN = 60  # characters of a name in a message

# Control characters, surrogates (a byte that is not UTF-8 becomes one), separators of lines and paragraphs
FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# Characters that turn the direction of what follows, beyond the end of the name
FORBIDDEN_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def check_class_names(names: Sequence[Any], source: str, fix: str = "rename it") -> None:
    """Refuse class names that cannot be printed or are not distinct.

    Letters of all scripts and emoji are fine. A checkpoint with other names is not read, so no data set with
    other names may be trained on.

    Args:
        names: The names, by label.
        source: Where they come from; the start of the message.
        fix: What to do about it; the end of the message.

    Raises:
        InputError: A name is empty, too long, not text, not valid Unicode, or has control characters; two
            names are the same; or there are too many.
    """
    if len(names) > MAX_CLASSES:
        raise InputError(f"{source}: {len(names):,} classes; at most {MAX_CLASSES:,} are possible")
    seen: set[str] = set()
    for name in names:
        problem = _problem_of(name) or ("is the name of two classes" if name in seen else None)
        if problem is not None:
            # `repr` escapes what cannot be printed. Of other values than texts, it may be endless.
            shown = repr(name)[:MAX_SHOWN] if isinstance(name, str) else type(name).__name__
            raise InputError(f"{source}: class name {shown} {problem}; {fix}")
        seen.add(name)


def _problem_of(name: Any) -> str | None:
    """Return what is wrong with a name; None if it is fine."""
    if not isinstance(name, str):
        return "is not text"
    if not name or name.isspace():
        return "is empty"
    if len(name) > MAX_LENGTH:
        return f"has {len(name):,} characters, more than {MAX_LENGTH}"
    if name.isprintable():
        return None
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "is not valid UTF-8"
    if any(unicodedata.category(character) in FORBIDDEN_CATEGORIES for character in name):
        return "has control characters"
    if any(unicodedata.bidirectional(character) in FORBIDDEN_DIRECTIONS for character in name):
        return "has characters that turn the direction of the text"
    return None

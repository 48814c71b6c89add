"""Write predictions to a file, to standard output, or to both."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from mobilenet_lab.inference.writers import FORMATS, Named, write_output
from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.errors import InputError

SUFFIXES = {".csv": "csv", ".json": "json"}


def check_output(output: str) -> Path:
    """Return the path of the file to write.

    Raises:
        InputError: Its suffix is not that of a format, or a folder has this name.
    """
    path = Path(output)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"output={output}: must end in {' or '.join(SUFFIXES)}")
    if path.is_dir():
        raise InputError(f"output={output}: is a folder; add the name of a file")
    if path.parent.exists() and not path.parent.is_dir():
        raise InputError(f"output={output}: {path.parent} is not a folder; use another one")
    return path


def write_predictions(
    predictions: Iterable[Named],
    classes: Sequence[str],
    output: Path | None,
    shown_as: str | None,
    top_k: int | None = None,
) -> None:
    """Write predictions as they arrive. The file gets its name when it is complete.

    Args:
        predictions: Names of images and predictions.
        classes: Class names, by label.
        output: The file, whose suffix is its format; None for standard output only.
        shown_as: The format on standard output; None, for nothing, needs an `output`.
        top_k: How many of the most likely classes to list; see `writers.Format`.

    Raises:
        InputError: The file or standard output cannot be written to.
        BrokenPipeError: The reader of standard output has closed it.
    """
    if output is None:
        assert shown_as is not None
        write_output(FORMATS[shown_as](predictions, classes, top_k))
        return
    saved, printed = itertools.tee(predictions) if shown_as is not None else (predictions, ())
    # Both formats take their predictions in step, so that `tee` keeps only a few.
    pairs = itertools.zip_longest(
        FORMATS[SUFFIXES[output.suffix.lower()]](saved, classes, top_k),
        FORMATS[shown_as](printed, classes, top_k) if shown_as is not None else (),
        fillvalue="",
    )

    def write(scratch: Path) -> None:
        try:
            # Names that are not UTF-8 are written as the bytes that they have.
            with scratch.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                write_output(_save(pairs, file))
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    try:
        write_atomically(output, write)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"output={output}: {error.strerror}; write to another file or disk") from error


def _save(pairs: Iterable[tuple[str, str]], file: TextIO) -> Iterator[str]:
    """Write the first of each pair to a file, and yield the second."""
    for part, shown in pairs:
        file.write(part)
        yield shown

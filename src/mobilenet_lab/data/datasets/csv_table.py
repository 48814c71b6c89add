"""Read a CSV file with the path and the class of each image."""

import csv
import io
import os
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mobilenet_lab.data.datasets.folder_layout import SPLIT_OF
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

# Names of the columns, in lower case
PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "image")
LABEL_COLUMNS = ("label", "class", "class_name")
SPLIT_COLUMNS = ("split",)
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Table:
    """The images of one split, in the order of their lines.

    Attributes:
        paths: As written, each followed by a zero byte, and so without a Python object per image.
        class_ids: Position of each image's class in `classes`.
        lines: Number of each image's line.
        classes: Names of the classes, each with its position.
    """

    paths: bytearray = field(default_factory=bytearray)
    class_ids: "array[int]" = field(default_factory=lambda: array("I"))
    lines: "array[int]" = field(default_factory=lambda: array("I"))
    classes: dict[str, int] = field(default_factory=dict)

    def add(self, path: str, name: str, line: int) -> None:
        """Add an image."""
        self.paths.extend(os.fsencode(path) + b"\0")
        self.class_ids.append(self.classes.setdefault(name, len(self.classes)))
        self.lines.append(line)

    def rows(self) -> Iterator[tuple[str, int]]:
        """Yield path and line of each image."""
        begin = 0
        for line in self.lines:
            end = self.paths.index(0, begin)
            yield os.fsdecode(bytes(self.paths[begin:end])), line
            begin = end + 1


def has_columns(file: Path) -> bool:
    """Return whether the first line of a file names the columns of paths and classes."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            header = _names(stream.readline())
    except OSError:
        return False
    return _find(header, PATH_COLUMNS) is not None and _find(header, LABEL_COLUMNS) is not None


def read_table(file: Path, split: str | None = None) -> dict[str, Table]:
    """Read a file with a header, separated by commas, semicolons or tabs.

    Args:
        file: The file.
        split: The split of all images; None for that of each line, or "train" without a column of splits.

    Returns:
        The images by split.

    Raises:
        FileNotFoundError: The file does not exist.
        InputError: The file is not such a table, or a line is incomplete.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8; save it with this encoding") from error
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; give data.root a folder or a CSV file") from error
    if "\0" in text:
        raise InputError(f"{file}: is not text; save the table as CSV")
    header = io.StringIO(text, newline="").readline()
    names = _names(header)
    path, label = (_column(file, names, known) for known in (PATH_COLUMNS, LABEL_COLUMNS))
    column = _find(names, SPLIT_COLUMNS) if split is None else None
    tables: dict[str, Table] = {}
    for line, row in _rows(file, text, _delimiter(header)):
        values = [row[i].strip() if i < len(row) else "" for i in (path, label)]
        if not all(values):
            missing = names[path] if not values[0] else names[label]
            raise InputError(f"{file}: line {line}: {missing} is empty; fill it in or remove the line")
        name = split or "train"
        if column is not None:
            name = _split(file, line, row[column] if column < len(row) else "")
        table = tables.setdefault(name, Table())
        table.add(values[0], unicodedata.normalize("NFC", values[1]), line)
    if not tables:
        raise InputError(f"{file}: has no images; add a line for each")
    return tables


def _rows(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row below the header with the number of its line; empty lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{file}: line {reader.line_num}: {error}; fix the line") from error


def _split(file: Path, line: int, value: str) -> str:
    name = SPLIT_OF.get(value.strip().lower())
    if name is None:
        raise InputError(
            f"{file}: line {line}: split {printable(value)!r}; must be train, val or test, or leave the "
            "column out"
        )
    return name


def _column(file: Path, names: list[str], known: tuple[str, ...]) -> int:
    position = _find(names, known)
    if position is None:
        shown = printable(", ".join(names))[:200]
        raise InputError(
            f"{file}: line 1: has no column {' or '.join(known[:4])} among {shown}; name the columns in the "
            "first line, such as path,label"
        )
    return position


def _find(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((i for i, name in enumerate(names) if name in known), None)


def _names(header: str) -> list[str]:
    """Return the names of the columns in lower case; none if the line is not CSV."""
    try:
        row = next(csv.reader([header.strip()], delimiter=_delimiter(header)), [])
    except csv.Error:
        return []
    return [name.strip().lower() for name in row]


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)

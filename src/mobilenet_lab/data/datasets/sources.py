"""Data sets by name, for use from Python; configurations name their functions in `conf/data` instead."""

from collections.abc import Callable

from mobilenet_lab.data.datasets.base import DatasetSource
from mobilenet_lab.data.datasets.mnist import fashion_mnist, idx_folder, mnist
from mobilenet_lab.runtime.errors import InputError

SOURCES: dict[str, Callable[..., DatasetSource]] = {
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "idx": idx_folder,
}


def make_source(source: str | DatasetSource | Callable[..., DatasetSource], root: str) -> DatasetSource:
    """Return the data set of a name or function for a folder, or a data set as it is.

    Raises:
        InputError: There is no data set of that name.
    """
    if isinstance(source, str):
        if source not in SOURCES:
            raise InputError(f"source={source}: must be one of {', '.join(SOURCES)}, or a DatasetSource")
        source = SOURCES[source]
    return source(root=root) if callable(source) else source

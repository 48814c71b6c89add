"""Split by class: every subset gets its share of every class, as far as whole images allow.

Only labels are read. The result is a function of the labels and the seed.
"""

from dataclasses import dataclass

import numpy as np

from mobilenet_lab.data.permutation import CHUNK, Indices, Permutation


@dataclass(frozen=True)
class ListedIndices:
    """The indices of a subset as an array, which maps positions to indices like a `Permutation`.

    Args:
        indices: int32 or int64, shape (N,).
    """

    indices: np.ndarray

    def __call__(self, positions: Indices) -> Indices:
        """Return the indices at these positions, int64, of the same shape."""
        return self.indices[positions].astype(np.int64)


def stratified_subsets(
    labels: np.ndarray, num_val: int, num_test: int, max_train: int | None, seed: int
) -> dict[str, ListedIndices]:
    """Return the images of "train", "val" and "test", in random order.

    A class keeps at least one training image, unless there are fewer training images than classes.

    Args:
        labels: Integers >= 0, shape (N,).
        num_val: Number of validation images.
        num_test: Number of test images.
        max_train: Number of training images to use, by class too; None uses all that remain.
        seed: Selects the images.
    """
    sizes = np.bincount(labels)
    is_used = (sizes > 0).astype(np.int64)
    ties = Permutation(len(sizes), (seed, 1))(np.arange(len(sizes)))
    kept = is_used if len(labels) - num_val - num_test >= is_used.sum() else 0 * is_used
    val = allocate(num_val, sizes, sizes - kept, ties)
    test = allocate(num_test, sizes, sizes - kept - val, -ties)  # not from the same small classes
    train = sizes - val - test
    if max_train is not None and max_train < train.sum():
        least = np.minimum(train, 1) if max_train >= is_used.sum() else 0 * train
        train = least + allocate(max_train - int(least.sum()), train - least, train - least, ties)
    shuffled = _shuffled(len(labels), seed)
    classes = labels[shuffled]
    ranks = _ranks_within_class(classes, sizes)
    subsets, begin = {}, np.zeros(len(sizes), shuffled.dtype)
    for name, count in (("val", val), ("test", test), ("train", train)):
        end = begin + count.astype(shuffled.dtype)
        subsets[name] = ListedIndices(shuffled[(ranks >= begin[classes]) & (ranks < end[classes])])
        begin = end
    return subsets


def allocate(total: int, sizes: np.ndarray, most: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Distribute images over classes in proportion to their sizes.

    Each class gets its exact share, rounded down or up. Classes whose share is below one image are rounded up
    first, then those with the largest remainder.

    Args:
        total: Number of images, at most the sum of `most`.
        sizes: Images per class, shape (C,).
        most: The largest number per class, shape (C,).
        ties: Distinct numbers that decide between equal remainders, shape (C,).

    Returns:
        Images per class, int64, shape (C,), with the sum `total`.
    """
    shares = total * sizes / max(1, sizes.sum())
    counts = np.minimum(shares.astype(np.int64), most)
    while (missing := total - int(counts.sum())) > 0:
        is_full = counts >= most
        order = np.lexsort((ties, counts - shares, counts > 0, is_full))
        counts[order[: min(missing, int((~is_full).sum()))]] += 1
    return counts


def _shuffled(size: int, seed: int) -> np.ndarray:
    """Return a permutation of 0 ... size - 1, in as few bytes as its numbers need."""
    permutation, shuffled = Permutation(size, (seed,)), np.empty(size, _index_type(size))
    for begin in range(0, size, CHUNK):
        end = min(begin + CHUNK, size)
        shuffled[begin:end] = permutation(np.arange(begin, end))
    return shuffled


def _ranks_within_class(classes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the position of each image among those of its class: integers, shape (N,)."""
    # NumPy sorts 16-bit integers in linear time.
    keys = classes.astype(np.uint16) if len(sizes) <= 1 << 16 else classes
    kind = _index_type(len(classes))
    firsts = (np.cumsum(sizes) - sizes).astype(kind)
    ranks = np.empty(len(classes), kind)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(classes), dtype=kind) - np.repeat(firsts, sizes)
    return ranks


def _index_type(size: int) -> type[np.signedinteger]:
    return np.int32 if size < 1 << 31 else np.int64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenet_lab.data.epoch_order import BalancedOrder, epoch_order
from mobilenet_lab.data.permutation import Permutations
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange, Subset
from mobilenet_lab.runtime.errors import InputError

# Images per label, from one class to many, some empty
SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda sizes: sum(sizes) > 0)


def labels_of(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


def draws(labels: np.ndarray, seed: int, epochs: int) -> list[np.ndarray]:
    order = BalancedOrder(lambda at: labels[at], len(labels))
    return [order(np.arange(len(labels)), seed, epoch) for epoch in range(epochs)]


@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_classes_are_drawn_equally_often_in_every_epoch(sizes: list[int], seed: int) -> None:
    labels = labels_of(sizes)
    present = [label for label, size in enumerate(sizes) if size]
    total = np.zeros(len(sizes), int)
    for images in draws(labels, seed, 4):
        counts = np.bincount(labels[images], minlength=len(sizes))
        assert np.ptp(counts[present]) <= 1
        total += counts
        assert np.ptp(total[present]) <= 1  # classes take turns at the surplus


@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_class_draws_all_its_images_before_it_repeats_one(sizes: list[int], seed: int) -> None:
    labels = labels_of(sizes)
    counts = np.zeros(len(labels), int)
    for images in draws(labels, seed, 5):
        counts += np.bincount(images, minlength=len(labels))
        for label in np.unique(labels):
            assert np.ptp(counts[labels == label]) <= 1


@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1), data=st.data())
@settings(max_examples=60, deadline=None)
def test_order_is_the_same_at_any_position(sizes: list[int], seed: int, data: st.DataObject) -> None:
    labels = labels_of(sizes)
    order = BalancedOrder(lambda at: labels[at], len(labels))
    positions = np.array(data.draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, max_size=5)))
    whole = order(np.arange(len(labels)), seed, 7)
    assert np.array_equal(order(positions, seed, 7), whole[positions])


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=20), seed=st.integers(0, 9), start=st.integers(0)
)
@settings(max_examples=60, deadline=None)
def test_permutations_hold_every_element_once(sizes: list[int], seed: int, start: int) -> None:
    start %= 2**40
    each = np.repeat(sizes, sizes)
    numbers = np.repeat(np.arange(start, start + len(sizes)), sizes)
    positions = np.concatenate([np.arange(size) for size in sizes])
    elements = Permutations((seed,))(each, numbers, positions)
    for some, size in zip(np.split(elements, np.cumsum(sizes)[:-1]), sizes, strict=True):
        assert np.array_equal(np.sort(some), np.arange(size))


def test_permutations_of_four_use_all_orders_equally_often() -> None:
    count = 24_000
    numbers, positions = np.repeat(np.arange(count), 4), np.tile(np.arange(4), count)
    orders = Permutations((0,))(np.full(4 * count, 4), numbers, positions).reshape(-1, 4)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert np.abs(counts - 1000).max() < 5 * 1000**0.5  # five standard deviations


def test_epochs_and_seeds_differ() -> None:
    labels = labels_of([500, 500])
    first, second = draws(labels, 0, 2)
    (other,) = draws(labels, 1, 1)
    for one, two in ((first, second), (first, other)):
        assert (one == two).sum() < 20  # one of 500 images of the class, where the classes are equal


def test_ranks_share_a_balanced_epoch_and_resume_in_it() -> None:
    labels = labels_of([90, 9, 1])
    order = BalancedOrder(lambda at: labels[at], 100)
    alone = list(BatchSampler(IndexRange(0, 100), 32, seed=3, order=order))
    ranks = [
        list(BatchSampler(IndexRange(0, 100), 16, seed=3, rank=rank, world_size=2, order=order))
        for rank in range(2)
    ]
    for batch, *shares in zip(alone, *ranks, strict=True):
        assert np.array_equal(batch.indices, np.concatenate([share.indices for share in shares]))
    resumed = BatchSampler(IndexRange(0, 100), 32, seed=3, order=order)
    resumed.start_at(0, 2)
    for batch, same in zip(resumed, alone[2:], strict=True):
        assert np.array_equal(batch.indices, same.indices)
        assert batch.seed == same.seed


class Labels:
    """A data set of labels only."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def read_labels(self, indices: np.ndarray) -> np.ndarray:
        return self.labels[indices]


def test_order_covers_the_subset_only() -> None:
    labels = labels_of([70, 30])
    subset = Subset(Labels(labels), IndexRange(40, 60))  # type: ignore[arg-type]
    order = epoch_order("balanced", subset)
    images = np.concatenate([subset.index_range(order(np.arange(60), 0, epoch)) for epoch in range(9)])
    assert set(images) == set(range(40, 100))
    with pytest.raises(InputError, match=r"^data\.sampling=fair: must be one of shuffle, balanced$"):
        epoch_order("fair", subset)


def test_million_images_take_four_bytes_each() -> None:
    labels = np.random.default_rng(0).integers(0, 1000, 1_000_000)
    order = BalancedOrder(lambda at: labels[at], len(labels))
    kept = sum(value.nbytes for value in vars(order).values() if isinstance(value, np.ndarray))
    assert kept < 4.1 * len(labels)

import numpy as np
import pytest
import torch
from torch import Generator

from mobilenet_lab.data import sampler
from mobilenet_lab.data.permutation import Permutation
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 1000, 4096, 60_000])
@pytest.mark.parametrize("key", [(0,), (7, 3)])
def test_permutation_holds_every_element_once(size: int, key: tuple[int, ...]) -> None:
    elements = Permutation(size, key)(np.arange(size))
    assert np.array_equal(np.sort(elements), np.arange(size))


def test_permutation_is_the_same_at_any_position() -> None:
    permutation = Permutation(60_000, (1, 2))
    whole = permutation(np.arange(60_000))
    assert np.array_equal(permutation(np.array([59_999, 0, 31_415])), whole[[59_999, 0, 31_415]])


def test_permutation_differs_by_key_and_looks_random() -> None:
    size = 10_000
    one, other = (Permutation(size, (0, epoch))(np.arange(size)) for epoch in (0, 1))
    # Two random permutations agree at one position on average.
    assert (one == other).sum() < 10
    assert abs(np.corrcoef(np.arange(size), one)[0, 1]) < 0.05
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    # Each tenth of the epoch draws evenly from each tenth of the data: 100 each, deviation about 9.5.
    counts = np.histogram2d(np.arange(size), one, bins=10)[0]
    assert np.abs(counts - 100).max() < 45
    # Neighbors are separated: steps of one are as rare as any other.
    assert (np.abs(np.diff(one)) == 1).sum() < 12


def test_small_permutations_use_all_orders() -> None:
    orders = {tuple(Permutation(4, (seed,))(np.arange(4))) for seed in range(2000)}
    assert len(orders) == 24


@pytest.fixture(autouse=True, params=[sampler.CHUNK, 100])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Orders are computed in chunks, whose size must not matter."""
    monkeypatch.setattr(sampler, "CHUNK", request.param)
    return request.param


def read(sampler: BatchSampler) -> list[np.ndarray]:
    return [request.indices for request in sampler]


@pytest.mark.parametrize("num_images", [1, 2, 63, 64, 65, 66, 128, 1000])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_read_every_image_once(
    num_images: int, batch_size: int, world_size: int, shuffle: bool
) -> None:
    ranks = [
        BatchSampler(IndexRange(0, num_images), batch_size, 3, shuffle, rank, world_size)
        for rank in range(world_size)
    ]
    batches = [read(sampler) for sampler in ranks]
    assert [len(b) for b in batches] == [len(sampler) for sampler in ranks]
    everything = np.concatenate([indices for rank in batches for indices in rank])
    assert np.array_equal(np.sort(everything), np.arange(num_images))
    if shuffle:
        assert len({len(b) for b in batches}) == 1  # otherwise a rank would wait for the others forever


def test_training_batches_have_at_least_two_images() -> None:
    sizes = [len(batch) for batch in read(BatchSampler(IndexRange(0, 129), 64))]
    assert sizes == [64, 65]


def test_full_batches_have_the_configured_size() -> None:
    sizes = [len(batch) for batch in read(BatchSampler(IndexRange(0, 200), 64))]
    assert sizes == [64, 64, 64, 8]


def test_global_batch_does_not_depend_on_the_number_of_ranks() -> None:
    alone = read(BatchSampler(IndexRange(0, 1000), 32))
    shared = [read(BatchSampler(IndexRange(0, 1000), 16, rank=rank, world_size=2)) for rank in range(2)]
    for batch, *shards in zip(alone, *shared, strict=True):
        assert np.array_equal(batch, np.concatenate(shards))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def epoch(seed: int, number: int) -> np.ndarray:
        sampler = BatchSampler(IndexRange(0, 500), 50, seed)
        sampler.set_epoch(number)
        return np.concatenate(read(sampler))

    assert np.array_equal(epoch(1, 4), epoch(1, 4))
    assert not np.array_equal(epoch(1, 4), epoch(1, 5))
    assert not np.array_equal(epoch(1, 4), epoch(2, 4))


@pytest.mark.parametrize("first", [1, 5, 9])
def test_epoch_starts_at_any_batch(first: int) -> None:
    sampler = BatchSampler(IndexRange(0, 500), 50)
    whole = list(sampler)
    sampler.start_at(0, first)
    rest = list(sampler)
    assert [r.seed for r in rest] == [r.seed for r in whole[first:]]
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(rest, whole[first:], strict=True))
    assert len(list(sampler)) == len(rest)  # a second pass over the epoch starts there too
    sampler.set_epoch(1)
    assert len(list(sampler)) == len(whole)


def test_augmentation_seeds_differ_between_batches_epochs_and_ranks() -> None:
    draws = []
    for rank in range(2):
        for seed in range(3):
            sampler = BatchSampler(IndexRange(0, 500), 50, seed, rank=rank, world_size=2)
            for epoch in range(10):
                sampler.set_epoch(epoch)
                draws += [torch.rand(1, generator=Generator().manual_seed(r.seed)).item() for r in sampler]
    assert len(draws) == 2 * 3 * 10 * 5
    assert len(set(draws)) == len(draws)


def test_index_ranges_of_one_permutation_are_disjoint() -> None:
    permutation = Permutation(100, (0,))
    validation, rest = IndexRange(0, 20, permutation), IndexRange(20, 80, permutation)
    indices = np.concatenate([some(np.arange(len(some))) for some in (validation, rest)])
    assert np.array_equal(np.sort(indices), np.arange(100))
    assert not np.array_equal(np.sort(validation(np.arange(20))), np.arange(20))


def test_order_of_a_billion_images_takes_no_memory() -> None:
    sampler = BatchSampler(IndexRange(0, 10**9), 256)
    first = next(iter(sampler)).indices
    assert len(np.unique(first)) == 256
    assert first.max() > 10**8

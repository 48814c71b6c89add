import time

import numpy as np
import pytest

from mobilenet_lab.data.stratified import stratified_subsets


def split(
    labels: np.ndarray, num_val: int, num_test: int, most: int | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    return {
        name: some.indices for name, some in stratified_subsets(labels, num_val, num_test, most, seed).items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_twelve_classes_of_ten_images_are_in_every_subset(seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(12), 10))
    subsets = split(labels, 12, 12, seed=seed)
    counts = {name: np.bincount(labels[some], minlength=12).tolist() for name, some in subsets.items()}
    assert counts == {"val": [1] * 12, "test": [1] * 12, "train": [8] * 12}


def test_subsets_are_disjoint_have_their_sizes_and_share_every_class() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        labels = random.integers(0, random.integers(1, 8), random.integers(20, 80))
        sizes = np.bincount(labels)
        num_val, num_test = (int(n) for n in random.integers(0, len(labels) // 4, 2))
        subsets = split(labels, num_val, num_test, seed=int(random.integers(9)))
        assert [len(subsets[name]) for name in ("val", "test")] == [num_val, num_test]
        assert sorted(np.concatenate(list(subsets.values()))) == list(range(len(labels)))
        assert set(labels[subsets["train"]]) == set(labels)
        if sizes[sizes > 0].min() > 4:
            val = np.bincount(labels[subsets["val"]], minlength=len(sizes))
            assert np.abs(val - num_val * sizes / sizes.sum()).max() < 1  # within one of the exact share


def test_small_class_keeps_a_training_image_and_is_rounded_up() -> None:
    labels = np.repeat([0, 1, 2], [1000, 3, 1])
    subsets = split(labels, 102, 102)
    counts = {name: np.bincount(labels[some], minlength=3).tolist() for name, some in subsets.items()}
    assert counts == {"val": [101, 1, 0], "test": [101, 1, 0], "train": [798, 1, 1]}


def test_fewer_training_images_are_a_subset_with_every_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 8, 2])
    subsets, fewer = split(labels, 6, 6), split(labels, 6, 6, most=5)
    assert len(fewer["train"]) == 5
    assert set(fewer["train"]) < set(subsets["train"])
    assert set(labels[fewer["train"]]) == {0, 1, 2}
    assert set(fewer["val"]) == set(subsets["val"])


def test_split_is_a_function_of_the_seed() -> None:
    labels = np.arange(100) % 7
    first, again, other = split(labels, 20, 20), split(labels, 20, 20), split(labels, 20, 20, seed=1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert set(first["val"]) != set(other["val"])
    assert not np.array_equal(first["train"], np.sort(first["train"]))


def test_million_images_are_split_in_a_second() -> None:
    labels = np.arange(1_000_000) % 1000
    began = time.process_time()
    split(labels, 100_000, 100_000)
    assert time.process_time() - began < 1

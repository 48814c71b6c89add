"""Keyed permutations, computed position by position, so that a shuffled epoch needs no list of indices.

Six million shuffled indices would take 48 MB. Here an epoch can start at any position, and a large data set
costs no more memory than a small one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Indices = np.ndarray  # int64, shape (n,)
ROUNDS = 8
CHUNK = 1 << 16  # positions that callers compute at once, to amortize NumPy's call overhead


class Permutation:
    """A pseudo-random permutation of 0 ... size - 1, evaluated only where it is needed.

    It is a Feistel network over the smallest power of two that is at least `size`, with the constants of
    MurmurHash3's finalizer in its rounds. Results outside the range are permuted again until they fall inside
    ("cycle walking", Black and Rogaway 2002).

    Args:
        size: Number of elements.
        key: Numbers that select the permutation, such as (seed, epoch).
    """

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        bits = max(2, (size - 1).bit_length())
        self.size = size
        low = bits // 2
        keys = np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)
        self._network = _Feistel(
            np.uint64(low), np.uint64((1 << low) - 1), np.uint64((1 << bits - low) - 1), keys
        )

    def __call__(self, positions: Indices) -> Indices:
        """Return the elements at these positions, int64, of the same shape."""
        values = self._network(positions.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while outside.size:
            values[outside] = self._network(values[outside])
            outside = outside[values[outside] >= self.size]
        return values.astype(np.int64)


class Permutations:
    """Many permutations, each of its own size and selected by its own number; see `Permutation`.

    Args:
        key: Numbers that select the permutations, such as (seed,).
    """

    def __init__(self, key: tuple[int, ...]) -> None:
        self._keys = np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)

    def __call__(self, sizes: Indices, numbers: Indices, positions: Indices) -> Indices:
        """Return elements of several permutations.

        Args:
            sizes: Size of each permutation, shape (n,).
            numbers: Number of each permutation, shape (n,).
            positions: Position in each permutation, below its size, shape (n,).

        Returns:
            The elements, int64, shape (n,).
        """
        values, todo = positions.astype(np.uint64), np.arange(len(positions))
        bits = np.maximum(2, np.frexp((sizes - 1).astype(np.float64))[1]).astype(np.uint64)
        keys = [_mix(numbers.astype(np.uint64) ^ key) for key in self._keys]
        low, one = bits // np.uint64(2), np.uint64(1)
        low_mask, high_mask = (one << low) - one, (one << bits - low) - one
        while todo.size:
            network = _Feistel(low[todo], low_mask[todo], high_mask[todo], [key[todo] for key in keys])
            values[todo] = network(values[todo])
            todo = todo[values[todo] >= sizes[todo].astype(np.uint64)]
        return values.astype(np.int64)


@dataclass(frozen=True)
class _Feistel:
    """A bijection of the integers of some bits: numbers for one, or arrays for one per value.

    Args:
        low_bits: Number of lower bits; the upper half has as many or one more.
        low_mask: All lower bits.
        high_mask: All upper bits, shifted down.
        round_keys: A key per round.
    """

    low_bits: Any
    low_mask: Any
    high_mask: Any
    round_keys: Any

    def __call__(self, values: np.ndarray) -> np.ndarray:
        low, high = values & self.low_mask, values >> self.low_bits
        for i, round_key in enumerate(self.round_keys):
            if i % 2:
                low = low ^ (_mix(high ^ round_key) & self.low_mask)
            else:
                high = high ^ (_mix(low ^ round_key) & self.high_mask)
        return (high << self.low_bits) | low


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread every bit over the lower half of a 64-bit word."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))

"""A keyed permutation, computed position by position, so that a shuffled epoch needs no list of indices.

Six million shuffled indices would take 48 MB. Here an epoch can start at any position, and a large data set
costs no more memory than a small one.
"""

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
        self._low_bits = np.uint64(bits // 2)
        self._low_mask = np.uint64((1 << bits // 2) - 1)
        self._high_mask = np.uint64((1 << bits - bits // 2) - 1)
        self._round_keys = np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)

    def __call__(self, positions: Indices) -> Indices:
        """Return the elements at these positions, int64, of the same shape."""
        values = self._encrypt(positions.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while outside.size:
            values[outside] = self._encrypt(values[outside])
            outside = outside[values[outside] >= self.size]
        return values.astype(np.int64)

    def _encrypt(self, values: np.ndarray) -> np.ndarray:
        low, high = values & self._low_mask, values >> self._low_bits
        for i, round_key in enumerate(self._round_keys):
            if i % 2:
                low = low ^ (_mix(high ^ round_key) & self._low_mask)
            else:
                high = high ^ (_mix(low ^ round_key) & self._high_mask)
        return (high << self._low_bits) | low


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread every bit over the lower half of a 64-bit word."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))

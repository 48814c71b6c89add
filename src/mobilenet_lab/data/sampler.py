"""The order in which images are read: a pure function of (seed, epoch) that needs no memory.

A shuffled list of six million indices takes 48 MB; a keyed permutation computes the index at any position
instead. So a run can start at any position of any epoch, and a large data set costs no more than a
small one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from mobilenet_lab.data.permutation import CHUNK, GOLDEN_RATIO, Indices, Permutation
from mobilenet_lab.data.splits import IndexRange


@dataclass(frozen=True)
class BatchRequest:
    """What a batch is made of: indices into a data set, and a seed of 32 bits for its augmentation.

    PyTorch's generator on the CPU heeds no more than the lower 32 bits of a seed.
    """

    indices: Indices
    seed: int


class BatchSampler(Sampler[BatchRequest]):
    """Asks for the batches of an epoch, one request each; every rank asks for its own share.

    All ranks together read every image exactly once an epoch. In training the last batch holds what is
    left, shared out evenly; where that is fewer than two images a rank, for which BatchNorm has no
    variance, they join the batch before. In evaluation a rank reads one contiguous part, and the parts'
    sizes differ by one at most.

    Args:
        split: What to read.
        batch_size: Images in a batch of one rank.
        seed: Together with the epoch it determines the order.
        shuffle: True in training; False keeps the split's order.
        rank: Which share, below `world_size`.
        world_size: Number of ranks.
    """

    def __init__(
        self,
        split: IndexRange,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._resumed = (0, 0)  # epoch and batch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each."""
        self.epoch = epoch

    def start_at(self, epoch: int, batch: int) -> None:
        """Let an epoch begin at a later batch, where it was interrupted; other epochs stay whole."""
        self._resumed = (epoch, batch)

    def __len__(self) -> int:
        """Batches of one rank in a whole epoch."""
        if not self.shuffle:
            return -(-self._share(self.rank) // self.batch_size)
        global_size = self.batch_size * self.world_size
        whole, left = divmod(len(self.split), global_size)
        return max(1, whole + (left >= 2 * self.world_size))

    def __iter__(self) -> Iterator[BatchRequest]:
        return self._training_batches() if self.shuffle else self._evaluation_batches()

    def _training_batches(self) -> Iterator[BatchRequest]:
        order = Permutation(len(self.split), (self.seed, self.epoch))
        seeds = np.random.SeedSequence((self.seed, self.epoch, self.rank))
        epoch_seed = int(seeds.generate_state(1, np.uint32)[0])
        first = self._resumed[1] if self.epoch == self._resumed[0] else 0
        global_size, num_batches = self.batch_size * self.world_size, len(self)

        def start_of(batch: int) -> int:
            return batch * global_size if batch < num_batches else len(self.split)

        for begin in range(first, num_batches, step := max(1, CHUNK // global_size)):
            end = min(begin + step, num_batches)
            chunk = self.split(order(np.arange(start_of(begin), start_of(end))))
            for batch in range(begin, end):
                offset, size = start_of(batch) - start_of(begin), start_of(batch + 1) - start_of(batch)
                low = offset + size * self.rank // self.world_size
                high = offset + size * (self.rank + 1) // self.world_size
                yield BatchRequest(chunk[low:high], (epoch_seed + batch * GOLDEN_RATIO) % (1 << 32))

    def _evaluation_batches(self) -> Iterator[BatchRequest]:
        low = sum(self._share(rank) for rank in range(self.rank))
        high = low + self._share(self.rank)
        for begin in range(low, high, step := max(1, CHUNK // self.batch_size) * self.batch_size):
            chunk = self.split(np.arange(begin, min(begin + step, high)))
            for start in range(0, len(chunk), self.batch_size):
                yield BatchRequest(chunk[start : start + self.batch_size], seed=0)

    def _share(self, rank: int) -> int:
        return len(self.split) // self.world_size + (rank < len(self.split) % self.world_size)

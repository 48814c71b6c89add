"""The order of batches: a pure function of seed, epoch and rank that can start at any batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler, SequentialSampler

from mobilenet_lab.data.epoch_order import EpochOrder, ShuffledOrder
from mobilenet_lab.data.permutation import CHUNK, Indices
from mobilenet_lab.data.splits import IndexRange

GOLDEN_RATIO = 0x9E3779B1  # times 2^32: spreads the seeds of consecutive batches over all 32-bit numbers


@dataclass(frozen=True)
class BatchRequest:
    """The contents of a batch.

    Attributes:
        indices: Positions of the images in the data set, shape (n,).
        seed: Seed for the augmentation; PyTorch's CPU generator uses no more than 32 bits.
    """

    indices: Indices
    seed: int


class BatchSampler(Sampler[BatchRequest]):
    """Yields one request per batch of an epoch; every rank gets its own shard.

    All ranks together read every image exactly once per epoch, unless `order` repeats some. In training, the
    last batch has the remaining images, distributed evenly over the ranks. If these are fewer than two per
    rank, for which BatchNorm has no variance, they join the batch before. In evaluation each rank reads one
    contiguous shard, and shards differ in size by one image at most.

    Args:
        index_range: Images to read.
        batch_size: Images per batch and rank.
        seed: Determines the order, together with the epoch.
        shuffle: True for training; False keeps the order of `index_range`.
        rank: This process, below `world_size`.
        world_size: Number of processes.
        order: Which image of `index_range` training reads when; None reads each once per epoch.
    """

    def __init__(
        self,
        index_range: IndexRange,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        order: EpochOrder | None = None,
    ) -> None:
        self.index_range = index_range
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.order = order or ShuffledOrder(len(index_range))
        self.epoch = 0
        self._start = (0, 0)  # epoch and batch

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def start_at(self, epoch: int, batch: int) -> None:
        """Skip the first batches of one epoch, which was interrupted there; other epochs stay complete."""
        self._start = (epoch, batch)

    def __len__(self) -> int:
        """Return the number of batches per rank in a complete epoch."""
        if not self.shuffle:
            return -(-self._shard_size(self.rank) // self.batch_size)
        global_size = self.batch_size * self.world_size
        full, remaining = divmod(len(self.index_range), global_size)
        return max(1, full + (remaining >= 2 * self.world_size))

    def __iter__(self) -> Iterator[BatchRequest]:
        return self._training_batches() if self.shuffle else self._evaluation_batches()

    def _training_batches(self) -> Iterator[BatchRequest]:
        seeds = np.random.SeedSequence((self.seed, self.epoch, self.rank))
        epoch_seed = int(seeds.generate_state(1, np.uint32)[0])
        first = self._start[1] if self.epoch == self._start[0] else 0
        global_size, num_batches = self.batch_size * self.world_size, len(self)

        def start_of(batch: int) -> int:
            return batch * global_size if batch < num_batches else len(self.index_range)

        for begin in range(first, num_batches, step := max(1, CHUNK // global_size)):
            end = min(begin + step, num_batches)
            positions = np.arange(start_of(begin), start_of(end))
            chunk = self.index_range(self.order(positions, self.seed, self.epoch))
            for batch in range(begin, end):
                offset, size = start_of(batch) - start_of(begin), start_of(batch + 1) - start_of(batch)
                low = offset + size * self.rank // self.world_size
                high = offset + size * (self.rank + 1) // self.world_size
                yield BatchRequest(chunk[low:high], (epoch_seed + batch * GOLDEN_RATIO) % (1 << 32))

    def _evaluation_batches(self) -> Iterator[BatchRequest]:
        low = sum(self._shard_size(rank) for rank in range(self.rank))
        high = low + self._shard_size(self.rank)
        for begin in range(low, high, step := max(1, CHUNK // self.batch_size) * self.batch_size):
            chunk = self.index_range(np.arange(begin, min(begin + step, high)))
            for start in range(0, len(chunk), self.batch_size):
                yield BatchRequest(chunk[start : start + self.batch_size], seed=0)

    def _shard_size(self, rank: int) -> int:
        return len(self.index_range) // self.world_size + (rank < len(self.index_range) % self.world_size)


class RepeatingSampler(BatchSampler, SequentialSampler):  # type: ignore[misc] # both are a Sampler
    """Yields the batches of the first epoch in every epoch, for `Trainer(overfit_batches=...)`.

    Lightning replaces every sampler that is not a `SequentialSampler`.
    """

    def set_epoch(self, epoch: int) -> None:
        """Stay in the first epoch."""

"""The sampler of an epoch: its order depends only on (seed, epoch), and is split over ranks without repetition."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class SampleIndex(NamedTuple):
    """The index that the sampler passes to the data set.

    Attributes:
        image: row of the image in the data set.
        weight: 1, or 0 for a padding image, which is loaded but does not count.
        epoch: the epoch of the sample, because the augmentation depends on (seed, epoch, index).
    """

    image: int
    weight: float
    epoch: int


class EpochSampler(Sampler[SampleIndex]):
    """Sampler of the images of one rank in one epoch. Lightning calls `set_epoch` before all epochs but the first.

    Rank r gets every `world_size`-th image of a common order, starting with the r-th. Thus the k-th batches of all
    ranks together are the k-th batch of a single process with the same global batch size. With `fill`, ranks that
    have one image less get a padding image with weight 0, because training needs the same number of batches on every
    rank.
    """

    def __init__(
        self, count: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, world_size: int = 1, fill: bool = True
    ) -> None:
        """Store the settings.

        Args:
            count: number of images.
            seed: seed of the order.
            shuffle: whether to shuffle the images in each epoch.
            rank: rank of this process.
            world_size: number of processes.
            fill: whether to fill all ranks to the same number of images.
        """
        self.count = count
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.fill = fill
        self.epoch = 0
        self.resumed = (0, 0)

    def resume(self, epoch: int, samples: int) -> None:
        """Start with an epoch and skip its first `samples` samples, which the interrupted run has already used."""
        self.epoch = epoch
        self.resumed = (epoch, samples)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of samples of this rank in a whole epoch."""
        if self.fill:
            return -(-self.count // self.world_size)
        return len(range(self.rank, self.count, self.world_size))

    def __iter__(self) -> Iterator[SampleIndex]:
        """Yield the samples of this rank."""
        epoch, done = self.resumed
        positions = range(self.rank, self.rank + len(self) * self.world_size, self.world_size)
        order = list(range(self.count))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()
        for position in positions[done if self.epoch == epoch else 0 :]:
            inside = position < self.count
            yield SampleIndex(order[position if inside else 0], float(inside), self.epoch)

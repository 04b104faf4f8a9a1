"""The order of an epoch: a function of (seed, epoch) alone, split over ranks without counting an image twice."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """What the sampler asks the data set for.

    Attributes:
        image: which image of the data set.
        weight: 1, or 0 for an image that only fills up a rank: it is loaded and counts nowhere.
        epoch: the epoch that the image is drawn in, for augmentation that is a function of (seed, epoch, index).
    """

    image: int
    weight: float
    epoch: int


class EpochSampler(Sampler[Draw]):
    """Images of one rank for one epoch; Lightning calls `set_epoch` for each but the one that a run begins with.

    Rank r takes every `world_size`-th image of the one common order, so that the ranks' k-th batches together are
    the k-th batch of a single process with the same global batch. Ranks that come out one image short are filled up
    with weight 0 when `fill` is set: training needs as many batches on every rank, validation does not.
    """

    def __init__(
        self, count: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, world_size: int = 1, fill: bool = True
    ) -> None:
        """Sample `count` images, as seen by `rank` of `world_size`."""
        self.count = count
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.fill = fill
        self.epoch = 0
        self.resumed = (0, 0)

    def resume(self, epoch: int, draws: int) -> None:
        """Begin with an epoch, and leave out the first `draws` of it: they were learned from before it was cut off."""
        self.epoch = epoch
        self.resumed = (epoch, draws)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of draws of this rank in a whole epoch."""
        if self.fill:
            return -(-self.count // self.world_size)
        return len(range(self.rank, self.count, self.world_size))

    def __iter__(self) -> Iterator[Draw]:
        """Yield this rank's draws."""
        epoch, done = self.resumed
        positions = range(self.rank, self.rank + len(self) * self.world_size, self.world_size)
        order = list(range(self.count))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()
        for position in positions[done if self.epoch == epoch else 0 :]:
            inside = position < self.count
            yield Draw(order[position if inside else 0], float(inside), self.epoch)

from itertools import pairwise

import numpy as np
import pytest

from uap.data.sampler import EpochSampler, SampleIndex


def samples_of(sampler: EpochSampler, epoch: int = 0) -> list[SampleIndex]:
    sampler.set_epoch(epoch)
    return list(sampler)


def images(sampler: EpochSampler, epoch: int = 0) -> list[int]:
    return [sample.image for sample in samples_of(sampler, epoch)]


def test_order_depends_only_on_seed_and_epoch() -> None:
    sampler = EpochSampler(20, seed=3)
    first = images(sampler, 2)
    np.random.seed(0)  # noqa: NPY002 - the global state must not matter
    images(sampler, 5)
    assert images(sampler, 2) == first
    assert images(EpochSampler(20, seed=3), 2) == first


def test_order_differs_for_another_seed_or_epoch() -> None:
    orders = [images(EpochSampler(20, seed=seed), epoch) for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_samples_have_their_epoch() -> None:
    assert {sample.epoch for sample in samples_of(EpochSampler(5), 7)} == {7}


def test_batches_of_two_ranks_equal_batches_of_one_process() -> None:
    single = images(EpochSampler(23, seed=1), 4)
    ranks = [images(EpochSampler(23, seed=1, rank=rank, world_size=2, fill=False), 4) for rank in range(2)]
    for k in range(6):
        together = [image for rank in ranks for image in rank[2 * k : 2 * k + 2]]
        assert sorted(together) == sorted(single[4 * k : 4 * k + 4])


@pytest.mark.parametrize(("count", "world_size"), [(7, 2), (8, 2), (5, 4), (2, 4)])
def test_training_pads_all_ranks_to_the_same_number_of_samples(count: int, world_size: int) -> None:
    samplers = [EpochSampler(count, rank=rank, world_size=world_size) for rank in range(world_size)]
    ranks = [samples_of(sampler) for sampler in samplers]
    assert all(len(a) == len(b) for a, b in pairwise(ranks))
    assert [len(sampler) for sampler in samplers] == [len(rank) for rank in ranks]
    everything = [sample for rank in ranks for sample in rank]
    assert sorted(sample.image for sample in everything if sample.weight == 1) == list(range(count))
    assert sum(sample.weight == 0 for sample in everything) == -count % world_size
    assert all(0 <= sample.image < count for sample in everything)


@pytest.mark.parametrize(("count", "world_size"), [(7, 2), (5, 4), (2, 4)])
def test_validation_yields_every_image_once_in_order(count: int, world_size: int) -> None:
    samplers = [
        EpochSampler(count, rank=rank, world_size=world_size, shuffle=False, fill=False) for rank in range(world_size)
    ]
    ranks = [samples_of(sampler, 3) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(rank) for rank in ranks]
    assert sorted(sample.image for rank in ranks for sample in rank) == list(range(count))
    assert all(sample.weight == 1 for rank in ranks for sample in rank)
    for rank in ranks:
        assert [sample.image for sample in rank] == sorted(sample.image for sample in rank)

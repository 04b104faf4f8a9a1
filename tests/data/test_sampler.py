from itertools import pairwise

import numpy as np
import pytest

from uap.data.sampler import Draw, EpochSampler


def draws(sampler: EpochSampler, epoch: int = 0) -> list[Draw]:
    sampler.set_epoch(epoch)
    return list(sampler)


def images(sampler: EpochSampler, epoch: int = 0) -> list[int]:
    return [draw.image for draw in draws(sampler, epoch)]


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    sampler = EpochSampler(20, seed=3)
    first = images(sampler, 2)
    np.random.seed(0)  # noqa: NPY002 - the global state must not matter
    images(sampler, 5)
    assert images(sampler, 2) == first
    assert images(EpochSampler(20, seed=3), 2) == first


def test_another_seed_or_epoch_is_another_order() -> None:
    orders = [images(EpochSampler(20, seed=seed), epoch) for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_draws_carry_their_epoch() -> None:
    assert {draw.epoch for draw in draws(EpochSampler(5), 7)} == {7}


def test_the_batches_of_two_ranks_are_the_batches_of_one_process() -> None:
    single = images(EpochSampler(23, seed=1), 4)
    ranks = [images(EpochSampler(23, seed=1, rank=rank, world_size=2, fill=False), 4) for rank in range(2)]
    for k in range(6):
        together = [image for rank in ranks for image in rank[2 * k : 2 * k + 2]]
        assert sorted(together) == sorted(single[4 * k : 4 * k + 4])


@pytest.mark.parametrize(("count", "world_size"), [(7, 2), (8, 2), (5, 4), (2, 4)])
def test_in_training_every_rank_has_as_many_draws_and_filled_ones_weigh_nothing(count: int, world_size: int) -> None:
    samplers = [EpochSampler(count, rank=rank, world_size=world_size) for rank in range(world_size)]
    ranks = [draws(sampler) for sampler in samplers]
    assert all(len(a) == len(b) for a, b in pairwise(ranks))
    assert [len(sampler) for sampler in samplers] == [len(rank) for rank in ranks]
    everything = [draw for rank in ranks for draw in rank]
    assert sorted(draw.image for draw in everything if draw.weight == 1) == list(range(count))
    assert sum(draw.weight == 0 for draw in everything) == -count % world_size
    assert all(0 <= draw.image < count for draw in everything)


@pytest.mark.parametrize(("count", "world_size"), [(7, 2), (5, 4), (2, 4)])
def test_validation_sees_every_image_once_and_in_order(count: int, world_size: int) -> None:
    samplers = [
        EpochSampler(count, rank=rank, world_size=world_size, shuffle=False, fill=False) for rank in range(world_size)
    ]
    ranks = [draws(sampler, 3) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(rank) for rank in ranks]
    assert sorted(draw.image for rank in ranks for draw in rank) == list(range(count))
    assert all(draw.weight == 1 for rank in ranks for draw in rank)
    for rank in ranks:
        assert [draw.image for draw in rank] == sorted(draw.image for draw in rank)

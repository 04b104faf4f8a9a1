"""Tests of the benchmarks of speed: they still fit the code that they measure."""

import pytest

from benchmarks.step import Data, Interleave, bare_pass, new_attack, train


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:model.optimizer.lr is 2")
def test_the_benchmark_of_a_step_trains_with_its_own_data() -> None:
    size, steps = (64, 128), 3
    attack = new_attack("ESPNet", "cpu", size)
    clock = Interleave(bare_pass(attack, "cpu", size, 2))
    train(attack, Data(size, 2, steps), "cpu", [clock])
    assert len(clock.steps) == len(clock.bares) == steps
    assert attack.perturbation.proto.abs().max() > 0

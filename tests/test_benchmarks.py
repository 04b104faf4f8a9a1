"""Tests of benchmarks: they still fit the code that they measure, and print what they say."""

import re
from pathlib import Path

import pytest

from benchmarks import black_box
from benchmarks.step import Data, Interleave, bare_pass, new_attack, train


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:model.optimizer.lr is 2")
def test_the_benchmark_of_a_step_trains_with_its_own_data() -> None:
    size, steps = (64, 128), 3
    attack = new_attack("ESPNet", "cpu", size)
    clock = Interleave(bare_pass(attack, "cpu", size, 2))
    train(attack, Data(size, 2, steps), "cpu", [clock])
    assert len(clock.steps) == len(clock.bares) == steps
    assert attack.perturbation.proto.abs().max() > 0


@pytest.mark.filterwarnings("ignore:lr is 2")
@pytest.mark.parametrize("objective", ["untargeted", "hide", "static"])
def test_black_box_prints_the_metrics_of_a_pattern_on_a_network_that_is_left_out(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = [
        "random signs",
        "joint, tile 64, shift, features" if objective == "untargeted" else "joint, tile 64, shift",
    ]
    left = ["--left_out", "espnet_streetscenes", "--leave", "network", "--objective", objective]
    size = ["--images", "1", "--passes", "1", "--scored", "1", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["black_box", "--patterns", *patterns, *left, *size])
    black_box.main()
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[:2] for row in rows] == [[name, "espnet_streetscenes"] for name in patterns]
    metric = {"untargeted": "kept", "hide": "hidden", "static": "success_rate"}[objective]
    assert all(0 <= float(re.search(rf"{metric} ([\d.]+)", row)[1]) <= 100 for row in rows)  # type: ignore[index]
    assert any("all but espnet_streetscenes" in file.name for file in tmp_path.iterdir())


def test_black_box_refuses_unknown_networks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["black_box", "--left_out", "resnet"])
    with pytest.raises(SystemExit) as stopped:
        black_box.main()
    assert stopped.value.code == 2
    assert "fcn8s_streetscenes" in capsys.readouterr().err

"""Sums of perturbations over networks and tasks."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.helpers import refuses
from uap import transfer
from uap.evaluation.summed import NONE, SumRow, permuted, rows_of
from uap.metrics.names import METRICS
from uap.networks.fastestdet import FastestDet
from uap.utils.errors import InputError


def test_permuted_pixels_keep_their_three_values() -> None:
    change = torch.randn(1, 3, 5, 7)
    moved = permuted(change, torch.Generator().manual_seed(0))
    rows, expected = moved.flatten(2)[0].T, change.flatten(2)[0].T
    assert not torch.equal(rows, expected)
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))


def test_rows_are_sums_and_do_not_depend_on_the_order_of_images() -> None:
    one, two = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    image = torch.rand(1, 3, 4, 4)
    rows = rows_of({"a": one, "b": two}, [["a", "b"]], 0, image)
    assert list(rows) == [NONE, "a", "b", "a + b", "a + b, permuted"]
    assert rows[NONE].abs().sum() == 0
    torch.testing.assert_close(rows["a + b"], one + two)
    torch.testing.assert_close(rows["a + b, permuted"].sum(), (one + two).sum())
    again = rows_of({"a": one, "b": two}, [["a", "b"]], 0, image)
    assert torch.equal(again["a + b, permuted"], rows["a + b, permuted"])


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return a command line for a segmentation and a detection network on one scene."""
    torch.manual_seed(0)
    save_file(FastestDet(3).state_dict(), tmp_path / "cells.safetensors")
    settings: dict[str, object] = {"weights": str(tmp_path / "cells.safetensors"), "classes": ["person", "car", "bus"]}
    settings |= {"network": {"class_path": "uap.networks.FastestDet", "init_args": {"classes": 3}}}
    victim = {"class_path": "uap.victims.CellDetector", "init_args": {**settings, "input_size": [64, 64]}}
    (tmp_path / "cells.yaml").write_text(yaml.safe_dump({"model": {"victim": victim}}))
    data = ["--data", "StreetScenes", "--data.root", str(tmp_path / "scenes"), "--data.scored_scenes", "1"]
    options = ["--data.scenes", "1", "--data.size", "[64,128]", "--data.num_workers", "0", "--quiet"]
    return ["espnet_streetscenes", str(tmp_path / "cells.yaml"), "--out", str(tmp_path / "out"), *data, *options]


@pytest.mark.slow
def test_sums_are_evaluated_on_both_tasks(words: list[str], tmp_path: Path) -> None:
    cells = json.loads((transfer.main([*words, "--sums"]) / "transfer.json").read_text())["cells"]
    found = {(cell["made_from"], cell["network"]): cell["metrics"] for cell in cells}
    assert len(found) == 5 * 2
    total = "espnet_streetscenes + cells"
    assert (
        found[total, "espnet_streetscenes"]["miou_adversarial"] < found[NONE, "espnet_streetscenes"]["miou_adversarial"]
    )
    control = found[f"{total}, permuted", "cells"]
    assert set(control) == {"map_adversarial", "perceptibility"}
    assert found[NONE, "cells"]["perceptibility"] == 0
    # the control has the values of the sum at other positions
    assert control["perceptibility"] == pytest.approx(found[total, "cells"]["perceptibility"], rel=1e-5)
    table = (tmp_path / "out" / "transfer.md").read_text()
    assert METRICS["perceptibility"].text(control["perceptibility"]) in table


def test_sums_of_other_weights_or_images_are_not_replaced(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = []

    def score(sources: dict[str, object], columns: dict[str, object], *_: object) -> dict[str, SumRow]:
        scored.append([*columns])
        return {NONE: SumRow(dict.fromkeys(columns, 0.5), 0.0)}

    monkeypatch.setattr("uap.transfer.score_sums", score)
    words = [*words, "--sums"]
    transfer.main(words)
    weights = load_file(tmp_path / "cells.safetensors")
    save_file({name: 1.5 * value for name, value in weights.items()}, tmp_path / "other.safetensors")
    for change in (["--weights", "-", str(tmp_path / "other.safetensors")], ["--data.root", str(tmp_path / "others")]):
        with refuses(None, "conflict"):
            transfer.main([*words, *change])
    transfer.main(words)
    assert len(scored) == 2  # a refusal comes before any computation


@pytest.mark.parametrize(
    "option",
    [
        ["--attacks", "FGSM"],
        ["--epsilons", "4"],
        ["--steps", "3"],
        ["--control"],
        ["--joint", "espnet_streetscenes+cells"],
        ["--wrappers", "blur"],
    ],
)
def test_options_of_attacks_are_refused_with_sums(words: list[str], option: list[str], tmp_path: Path) -> None:
    with refuses(option[0].removeprefix("--"), "conflict"):
        transfer.main([*words, "--sums", *option])
    assert not (tmp_path / "out").exists()


def test_sums_of_no_row_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        transfer.main([*words, "--sums", "espnet_streetscenes+pspnet"])
    assert error.value.setting == "sums"

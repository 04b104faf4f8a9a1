"""Tests of the patterns that ship: their files and cards, and their evaluation on a network alone."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers import refuses
from uap.evaluate import main
from uap.universal.perturbation_files import PATTERNS, find_perturbation, load_perturbation
from uap.utils import paths


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_found_by_its_name_and_fits_images_of_any_size(name: str) -> None:
    pattern, metadata = load_perturbation(name)
    card = json.loads(paths.shipped(f"checkpoints/{name}.json").read_text())
    assert pattern.proto.shape == (3, 128, 128)
    assert pattern.proto.abs().max() == card["epsilon"] == float(metadata["epsilon"])
    for size in ((40, 300), (200, 130)):
        assert pattern.eight_bit(torch.full((1, 3, *size), 100)).shape == (1, 3, *size)
    assert find_perturbation(name).stat().st_size < 250_000


def test_a_file_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_perturbation("street128").parent == paths.shipped("checkpoints")
    Path("street128").touch()
    assert find_perturbation("street128") == Path("street128")
    assert find_perturbation("runs/street128") == Path("runs/street128")


@pytest.mark.parametrize("name", PATTERNS)
def test_cards_have_results_on_networks_that_the_pattern_was_not_learned_on(name: str) -> None:
    card = json.loads(paths.shipped(f"checkpoints/{name}.json").read_text())
    rows = [row for group in card["results"]["other_networks"] for row in group["networks"]]
    assert not {row["network"] for row in rows if "CamVid" in row["network"]} & set(card["learned_on"])
    for row in rows:
        assert 0 < row["kept"] < row["kept_random_signs"] < 100


def test_a_name_that_is_no_pattern_is_refused_before_other_settings() -> None:
    with refuses("perturbation", "missing_file", "streetscenes128"):
        main(["--perturbation", "street129"])


@pytest.mark.slow
def test_a_configuration_with_a_network_alone_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = paths.shipped("configs/victim/espnet_streetscenes.yaml")
    small = ["--data.size=[64,128]", "--data.scenes=2", "--data.scored_scenes=2", "--trainer.logger=false"]
    main(
        [
            "--perturbation",
            "streetscenes128",
            f"--config={network}",
            *small,
            f"--trainer.default_root_dir={tmp_path}/out",
        ]
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["target"] == "Untargeted"
    assert metrics["victim"] == "ESPNet"
    assert 0 < metrics["val/kept"] < 1

"""Tests of `uap detect` on a network that separates bright and dark pixels."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.datasets.test_video import draw
from tests.evaluation.test_robustness import network
from tests.helpers import SIZE, make_camvid, refusal, refuses
from tests.scoring.runs import config, make_run, noise
from uap import detect
from uap.detectors import Detector
from uap.evaluation import detector_scores
from uap.metrics.roc import auc
from uap.utils.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid", val=4)


def words(root: Path, *more: str) -> list[str]:
    settings = [
        "--data",
        "CamVid",
        "--data.root",
        str(root),
        "--data.size=[24,32]",
        "--data.num_workers=0",
        "--data.batch_size=3",
    ]
    return [network("plain"), *settings, *more]


def run(root: Path, *more: str) -> Path:
    return detect.main(words(root, "--attacks", "FGSM", "--epsilons", "60", *more))


DETECTORS = ("--detectors", "ScaleConsistency:0.5", "Uncertainty:margin", "SpatialConsistency:2")


def cells(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "detect.json").read_text())["cells"]
    return found


def test_tables_have_the_area_of_the_scores(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(root, *DETECTORS)
    found = {cell["detector"]: cell for cell in cells(out)}
    assert list(found) == ["ScaleConsistency:0.5", "Uncertainty:margin", "SpatialConsistency:2"]
    for cell in found.values():
        benign, attacked = torch.tensor(cell["benign"]), torch.tensor(cell["attacked"])
        assert len(benign) == len(attacked) == 4
        assert cell["metrics"]["auc"] == pytest.approx(auc(benign, attacked))
        assert cell["metrics"]["auc_low"] <= cell["metrics"]["auc"] <= cell["metrics"]["auc_high"]
        assert "kept" in cell["metrics"]
    assert found["SpatialConsistency:2"]["benign"] == [1.0] * 4  # the network sees single pixels
    with (out / "detect.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["detector"] for row in rows] == list(found)
    page = (out / "detect.html").read_text()
    printed = capsys.readouterr().out
    for title in ("Two-sided AUC", "FGSM, epsilon 60"):
        assert title in page
        assert title in printed
    assert (out / "detect_entropy.png").stat().st_size > 1000


def test_what_was_scored_is_not_scored_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run(root, *DETECTORS)
    before = {path: path.read_bytes() for path in out.rglob("*.json")}

    def never(*args: Any, **settings: Any) -> Any:
        raise AssertionError("scored again")

    monkeypatch.setattr(detector_scores, "evaluate", never)
    monkeypatch.setattr(Detector, "__call__", never)
    run(root, *DETECTORS)
    assert {path: path.read_bytes() for path in out.rglob("*.json")} == before


def test_attacks_through_a_wrapper_are_scored_on_the_network(root: Path) -> None:
    out = run(root, "--wrappers", "blur", "--detectors", "ScaleConsistency:0.5")
    assert [(cell["network"], cell["made_from"]) for cell in cells(out)] == [
        ("plain", "plain"),
        ("plain", "plain, blur"),
    ]
    first, second = cells(out)
    assert first["benign"] == second["benign"]


def test_a_saved_perturbation_is_found_by_who_knows_it(root: Path, tmp_path: Path) -> None:
    settings = config(root, classes=["sky", "building"])
    scene = np.zeros(SIZE, np.uint8)
    saved = make_run(tmp_path / "learned", settings, noise(), scene)
    more = ("--perturbation", str(saved), "--detectors", "KnownPattern", "Uncertainty:margin", "--out", "known")
    found = {cell["detector"]: cell for cell in cells(detect.main(words(root, *more)))}
    known = found["KnownPattern:learned"]
    assert known["metrics"]["auc"] == 1
    assert max(known["attacked"]) < -0.5
    assert known["attack"] == "learned"
    assert 0 <= known["metrics"]["success_rate"] <= 1
    other = make_run(tmp_path / "larger", settings, noise(tile=(48, 64)), np.zeros((48, 64), np.uint8))
    with pytest.raises(InputError):
        detect.main(words(root, "--perturbation", str(other), "--out", "other"))


def test_a_pattern_that_ships_is_named_as_in_evaluate(root: Path) -> None:
    more = ("--perturbation", "street128", "streetscenes128", "--detectors", "KnownPattern", "--out", "patterns")
    found = {(cell["attack"], cell["detector"]): cell["metrics"] for cell in cells(detect.main(words(root, *more)))}
    assert len(found) == 4
    assert found["street128", "KnownPattern:street128"]["auc"] == 1
    assert found["street128", "KnownPattern:streetscenes128"]["auc"] < 1
    assert 0 < found["street128", "KnownPattern:street128"]["kept"] <= 1


@pytest.mark.parametrize("option", [("--wrappers", "blur_3"), ("--epsilons", "4")])
def test_options_of_attacks_are_refused_with_perturbations_alone(root: Path, option: tuple[str, str]) -> None:
    with refuses(option[0].removeprefix("--"), "conflict"):
        detect.main(words(root, "--perturbation", "street128", *option))


def test_houdini_takes_the_epsilon_that_is_given(root: Path) -> None:
    attacks = ("--attacks", "HoudiniPure", "--detectors", "Uncertainty:margin")
    for out, option, expected in (("own", (), 32), ("given", ("--epsilons", "4"), 4)):
        (cell,) = cells(detect.main(words(root, *attacks, *option, "--out", out)))
        assert cell["epsilon"] == expected


def test_a_refusal_ends_the_workers_of_loaders_in_silence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--attacks", "FGSM", "--detectors", "ScaleConsistency:9", "--data.num_workers=2", "--data.batch_size=1"]
    said = refusal(lambda: detect.main(words(root, *more)), capsys)
    assert said.splitlines()[-1].startswith("error: ")


def test_another_seed_scores_other_patches(root: Path) -> None:
    kept = []
    for seed in ("0", "1"):
        out = run(root, *DETECTORS, "--seed", seed, "--out", f"seed{seed}")
        kept.append({file.name for file in (out / "cells").iterdir()})
    assert len(kept[0] & kept[1]) == 2  # the benign scores of the two detectors that do not sample


@pytest.mark.parametrize("size", ["[40,24]", "[9,48]"])
def test_tall_and_wide_images_are_scored_and_have_maps(root: Path, size: str) -> None:
    out = run(root, "--detectors", "SpatialConsistency:2", f"--data.size={size}", "--out", "shaped")
    assert cells(out)[0]["benign"] == [1.0] * 4
    assert (out / "detect_entropy.png").stat().st_size > 1000


def test_images_without_room_for_a_patch_lose_the_maps_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--detectors", "ScaleConsistency:0.5", "--data.size=[6,32]", "--out", "small")
    Path("small").mkdir()
    Path("small/detect_entropy.png").write_bytes(b"of an earlier run")
    out = run(root, *small)
    assert "no self-entropy maps" in capsys.readouterr().out
    assert not (out / "detect_entropy.png").exists()
    assert "Self-entropy" not in (out / "detect.html").read_text()
    more = ("--detectors", "SpatialConsistency:1", "--data.size=[6,32]", "--out", "refused")
    said = refusal(lambda: run(root, *more), capsys)
    assert "Use larger images" in said
    assert not Path("refused/adversarial").exists()  # before any attack


@pytest.mark.parametrize("share", [(), ("--data.scored_share", "0")])
def test_a_video_of_one_frame_is_one_sentence(
    tmp_path: Path, share: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    video = draw(tmp_path / "one.mp4", frames=1, size=(24, 32))
    data = ("--data", "VideoFrames", "--data.root", str(video), "--data.size=[24,32]", "--data.num_workers=0", *share)
    said = refusal(lambda: detect.main([network("plain"), "--attacks", "FGSM", *DETECTORS, *data]), capsys)
    assert "longer video" in said
    assert "scored_share" not in said


def test_lost_cells_are_refused(root: Path) -> None:
    run(root, *DETECTORS)
    with pytest.raises(Exception, match="would be"):
        run(root, "--detectors", "ScaleConsistency:0.5")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--attacks", "FGSM", "--detectors", "Nothing"], "no detector Nothing"),
        (["--attacks", "FGSM", "--detectors", "SpatialConsistency:x"], "SpatialConsistency:50"),
        (["--attacks", "FGSM", "--detectors", "SpatialConsistency:99999999999999999999"], "1 to 10,000"),
        (["--attacks", "FGSM", "--detectors", "ScaleConsistency:inf"], "finite"),
        (["--attacks", "Nothing"], "no attack Nothing"),
        ([], "nothing to detect"),
        (["--attacks", "FGSM", "--images", "1"], "one image"),
        (["--attacks", "FGSM", "--data", "ImageFolder", "--data.scored_share=1.5"], "data.scored_share is 1.5"),
        (["--attacks", "FGSM", "--detectors", "ScaleConsistency:9"], "too small"),
        (["--attacks", "FGSM", "--detectors", "KnownPattern"], "--perturbation"),
        (["--perturbation", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_sentence(
    root: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(lambda: detect.main(words(root, *more)), capsys)
    assert re.search(message, said)

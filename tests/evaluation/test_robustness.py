"""Tests of `uap robustness` against closed forms on a network that separates bright and dark pixels."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import jaccard_score

from tests.helpers import make_camvid, refusal, refuses
from uap import robustness
from uap.attacks import FGSM, IterativeFGSM
from uap.evaluation import attack_grid as curves
from uap.evaluation.evaluate import evaluate
from uap.objectives import LeastLikely
from uap.reporting.robustness_plot import curve_figure
from uap.reporting.robustness_tables import Score, pivots
from uap.utils.errors import InputError
from uap.utils.plain_settings import plain_settings

EPSILONS = [0.5, 40.0, 55.5, 70.0]
"""The scenes' pixels are about 52 grey levels above the threshold of 128, or 58 below."""


def network(name: str, threshold: float = 128.0, classes: tuple[str, ...] = ("sky", "building")) -> str:
    """Write the configuration of a network, and return its path."""
    block = {"class_path": "tests.helpers.Brightness", "init_args": {"threshold": threshold}}
    victim = {"class_path": "uap.victims.Victim", "init_args": {"network": block, "classes": list(classes)}}
    Path(f"{name}.yaml").write_text(yaml.safe_dump({"model": {"victim": victim}}))
    return f"{name}.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def run(root: Path, networks: list[str], attacks: list[str], epsilons: list[float], *more: str) -> Path:
    words = [*networks, "--attacks", *attacks, "--epsilons", *map(str, epsilons), "--data", "CamVid"]
    return robustness.main([*words, "--data.root", str(root), "--data.size=[24,32]", "--data.batch_size=3", *more])


def cells(out: Path) -> dict[tuple[str, str, float | None], Any]:
    content = json.loads((out / "robustness.json").read_text())
    return {(cell["network"], cell["attack"], cell["epsilon"]): cell["metrics"] for cell in content["cells"]}


def scenes(root: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return images `(N, H, W, 3)` and labels `(N, H, W)` of the validation split."""
    images = [np.asarray(Image.open(path), np.float64) for path in sorted((root / "val").glob("*.png"))]
    labels = [np.asarray(Image.open(path)) for path in sorted((root / "valannot").glob("*.png"))]
    return np.stack(images), np.stack(labels)


def bright(images: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = images.mean(-1) > threshold
    return found


def ratio(adversarial: NDArray[np.float64], root: Path, threshold: float) -> tuple[float, float]:
    """Return the IoU ratio and the share of pixels that keep their class, computed with sklearn."""
    images, labels = scenes(root)
    clean, predicted = bright(images, threshold), bright(adversarial, threshold)
    miou = [jaccard_score(labels.ravel(), p.ravel(), average="macro") for p in (predicted, clean)]
    return miou[0] / miou[1], float((predicted == clean).mean())


def opposite(images: NDArray[np.float64], epsilon: float, threshold: float) -> NDArray[np.float64]:
    """Return the images after FGSM II: the least likely of two classes is the other one; all weights are equal."""
    return images + epsilon * np.where(bright(images, threshold), -1, 1)[..., None]


@pytest.mark.slow
def test_iou_ratio_equals_the_closed_form(root: Path) -> None:
    thresholds = {"plain": 128.1, "low": 105.1}  # no pixel lies on a threshold
    found = cells(run(root, [network(name, t) for name, t in thresholds.items()], ["FGSMII"], EPSILONS))
    images, _ = scenes(root)
    ratios = set()
    for name, threshold in thresholds.items():
        for epsilon in EPSILONS:
            metrics = found[name, "FGSMII", epsilon]
            shipped = opposite(images, int(epsilon), threshold).clip(0, 255)
            for form, adversarial in (("float", opposite(images, epsilon, threshold)), ("8-bit", shipped)):
                iou_ratio, kept = ratio(adversarial, root, threshold)
                assert metrics[form]["iou_ratio"] == pytest.approx(iou_ratio, abs=1e-6), (name, epsilon, form)
                assert metrics[form]["kept"] == pytest.approx(kept, abs=1e-6), (name, epsilon, form)
                ratios.add(round(iou_ratio, 6))
    assert len(ratios) > 5


def test_epsilon_below_1_changes_only_float_images(root: Path) -> None:
    (metrics,) = cells(run(root, [network("plain")], ["FGSM"], [0.5])).values()
    assert metrics["float"]["max_norm"] == 0.5
    assert metrics["8-bit"]["max_norm"] == 0
    assert metrics["8-bit"]["miou_adversarial"] == metrics["8-bit"]["miou_clean"]
    assert (metrics["8-bit"]["iou_ratio"], metrics["8-bit"]["kept"]) == (1, 1)


def test_labels_are_translated_to_the_classes_of_the_network(root: Path) -> None:
    """The network has no building class, so only pixels labeled as sky have an IoU."""
    (metrics,) = cells(run(root, [network("other", classes=("sky", "car"))], ["FGSMII"], [55.5])).values()
    images, labels = scenes(root)
    is_sky = ~bright(opposite(images, 55.5, 128), 128)[labels == 0]
    assert 0 < is_sky.mean() < 1
    assert metrics["float"]["miou_clean"] == 1
    assert metrics["float"]["miou_adversarial"] == pytest.approx(is_sky.mean())


def count_evaluations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None]]:
    """Return the list of the class and epsilon of each attack that is evaluated from now on."""
    seen: list[tuple[str, float | None]] = []

    def counted(victim: Any, images: Any, attack: Any, *args: Any, **settings: Any) -> Any:
        seen.append((type(attack.attack).__name__, attack.epsilon))
        return evaluate(victim, images, attack, *args, **settings)

    monkeypatch.setattr(curves, "evaluate", counted)
    return seen


@pytest.mark.slow
def test_existing_cells_are_not_computed_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    victim, seen = network("plain"), count_evaluations(monkeypatch)
    out = run(root, [victim], ["FGSM"], [40, 60])
    assert seen == [("FGSM", 40), ("FGSM", 60)]
    printed = capsys.readouterr().out
    assert "1 of 2: plain, FGSM, epsilon 40: IoU ratio" in printed
    assert "left" in printed
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    run(root, [victim], ["FGSM"], [60, 40])
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert len(seen) == 2
    run(root, [victim, network("low", 105)], ["FGSM", "IterativeFGSM"], [2, 40, 60])
    assert len(seen) == 12
    next((out / "cells").iterdir()).write_text("{")  # damaged
    run(root, [victim, "low.yaml"], ["FGSM", "IterativeFGSM"], [2, 40, 60])
    assert len(seen) == 13


@pytest.mark.slow
def test_interrupted_run_is_continued(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = network("plain")
    whole = run(root, [victim], ["FGSM"], EPSILONS, "--out", "whole")

    def ended(cell: curves.Cell, *args: Any) -> Any:
        if cell.epsilon == 55.5:
            raise KeyboardInterrupt
        return score(cell, *args)

    score = curves.score
    monkeypatch.setattr(curves, "score", ended)
    with pytest.raises(KeyboardInterrupt):
        run(root, [victim], ["FGSM"], EPSILONS)
    monkeypatch.setattr(curves, "score", score)
    seen = count_evaluations(monkeypatch)
    out = run(root, [victim], ["FGSM"], EPSILONS)
    assert seen == [("FGSM", 55.5), ("FGSM", 70)]
    for name in ("robustness.csv", "robustness.json", "robustness.html"):
        assert (out / name).read_text() == (whole / name).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    {
        "another seed": lambda root: ["--seed=1"],
        "other images": lambda root: ["--images=2"],
        "another size": lambda root: ["--data.size=[12,16]"],
        "another label file": lambda root: Image.new("L", (32, 24)).save(root / "valannot" / "frame_000.png"),
        "other weights": lambda root: network("plain", 127),
    }.items(),
    ids=lambda item: item[0].replace(" ", "_"),
)
def test_changed_input_makes_other_cells(
    root: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, Callable[[Path], Any]]
) -> None:
    victim, seen = network("plain"), count_evaluations(monkeypatch)
    run(root, [victim], ["FGSM"], [60])
    changed = change[1](root)
    words = changed if isinstance(changed, list) else []
    with pytest.raises(InputError, match=r"1 cells of other .* \(the first: plain, FGSM\).* Set another --out"):
        run(root, [victim], ["FGSM"], [60], *words)
    assert len(seen) == 1  # the error is raised before the evaluation
    run(root, [victim], ["FGSM"], [60], *words, "--out", "other")
    assert len(seen) == 2


def test_attack_without_an_epsilon_has_one_row(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(root, [network("plain")], ["DAG", "FGSM"], [40, 70], "--quiet")
    found = cells(out)
    assert list(found) == [("plain", "DAG", None), ("plain", "FGSM", 40), ("plain", "FGSM", 70)]
    assert found["plain", "DAG", None]["float"]["iou_ratio"] < 1
    assert found["plain", "DAG", None]["float"]["success_rate"] > 0.9
    printed = capsys.readouterr().out
    assert "| network | attack | 40 | 70 | no epsilon |" in " ".join(printed.split())
    assert "left" not in printed  # quiet
    assert "no epsilon" in (out / "robustness.html").read_text()


def test_epsilons_are_used_or_refused(root: Path) -> None:
    victim, words = network("plain"), ["--data=CamVid", f"--data.root={root}", "--data.size=[24,32]", "--quiet"]
    default = robustness.main([victim, "--attacks", "HoudiniPure", *words])
    own = cells(default)["plain", "HoudiniPure", 32]["float"]
    assert 16 < own["max_norm"] <= 32
    chosen = cells(run(root, [victim], ["HoudiniPure"], [4], "--out", "chosen", "--quiet"))
    assert list(chosen) == [("plain", "HoudiniPure", 4)]
    assert 2 < chosen["plain", "HoudiniPure", 4]["float"]["max_norm"] <= 4
    with refuses("epsilons", "conflict", "DAG"):
        run(root, [victim], ["DAG", "DAGPure"], [4], "--out", "none")
    assert not Path("none").exists()


def test_files_and_output_have_the_same_metrics(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(root, [network("plain"), network("low", 105)], ["FGSM"], [40, 70])
    printed, found = capsys.readouterr().out, cells(out)
    with (out / "robustness.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 8
    for row in table:
        metrics = found[row["network"], row["attack"], float(row["epsilon"])][row["scored"]]
        assert {key: float(row[key]) for key in metrics} == metrics
    page = (out / "robustness.html").read_text()
    ratios = [f"{100 * found['low', 'FGSM', epsilon]['float']['iou_ratio']:.1f} %" for epsilon in (40, 70)]
    assert f"| low | FGSM | {ratios[0]} | {ratios[1]} |" in " ".join(printed.split())
    for title in ("IoU ratio", "mIoU adversarial", "kept"):
        for form in ("float images", "8-bit images"):
            assert f"{title}, {form}" in printed
            assert f"{title}, {form}" in page
    for ratio_ in ratios:
        assert f">{ratio_}</td>" in page
    assert "data:image/png;base64," in page
    assert 'src="http' not in page
    assert "CamVid, val" in page
    with Image.open(out / "robustness.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height


def test_metrics_that_no_attack_has_make_no_table() -> None:
    values = {"iou_ratio": 0.5, "miou_adversarial": 0.3}
    scores = [Score("a", "DAG", None, {"float": values, "8-bit": {**values, "kept": 0.25}})]
    tables = {(pivot.key, pivot.title.endswith("8-bit images")): pivot.rows["a", "DAG"] for pivot in pivots(scores)}
    assert tables == {
        ("iou_ratio", False): [0.5],
        ("iou_ratio", True): [0.5],
        ("miou_adversarial", False): [0.3],
        ("miou_adversarial", True): [0.3],
        ("kept", True): [0.25],
    }


def test_plot_has_all_networks_and_attacks() -> None:
    def both(value: float) -> dict[str, dict[str, float]]:
        return {"float": {"iou_ratio": value}, "8-bit": {"iou_ratio": value / 2}}

    scores = [
        Score(network, attack, epsilon, both(1 / (i + j + epsilon)))
        for i, network in enumerate(("a", "b"))
        for j, attack in enumerate(("FGSM", "FGSMII"))
        for epsilon in (4, 0.25, 1)
    ]
    figure = curve_figure([*scores, Score("a", "DAG", None, both(0.1))])
    for plot, factor in zip(figure.axes, (100, 50), strict=True):
        assert plot.get_xscale() == "log"
        assert [text.get_text() for text in plot.get_xticklabels()] == ["0.25", "1", "4"]
        lines = {str(line.get_label()): line for line in plot.lines}
        assert list(lines) == ["a, FGSM", "a, FGSMII", "a, DAG", "b, FGSM", "b, FGSMII"]
        assert np.asarray(lines["b, FGSM"].get_xdata()).tolist() == [0.25, 1, 4]
        assert np.asarray(lines["b, FGSM"].get_ydata()).tolist() == pytest.approx(
            [factor / 1.25, factor / 2, factor / 5]
        )
        assert set(np.asarray(lines["a, DAG"].get_ydata()).tolist()) == {factor / 10}
        assert lines["a, FGSM"].get_color() == lines["a, FGSMII"].get_color() != lines["b, FGSM"].get_color()
        styles = {label: (line.get_linestyle(), line.get_marker()) for label, line in lines.items()}
        assert styles["a, FGSM"] == styles["b, FGSM"] != styles["a, FGSMII"]


def test_plain_settings_are_complete() -> None:
    found = [plain_settings(attack) for attack in (FGSM(1), FGSM(2), IterativeFGSM(1), FGSM(1, clamp=True))]
    assert len({json.dumps(settings) for settings in found}) == 4
    assert plain_settings(FGSM(1)) == found[0]
    assert plain_settings(LeastLikely())[0] == "uap.objectives.least_likely.LeastLikely"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--attacks", "FGSM", "PGD9"], r"There is no attack PGD9\. The attacks are FGSM, FGSMII, .*DAG"),
        (["--epsilons", "0"], "0 is not above 0 and up to 255 grey levels"),
        (["--epsilons", "nan"], "nan is not above 0 and up to 255 grey levels"),
        (["--weights", "a.pth", "b.pth"], "--weights has 2 files, expected 1"),
        (["--weights", "a.pth"], "a.pth"),
        (["--data.rot=x"], "rot"),
        (["--data=Nothing"], "Nothing"),
    ],
)
def test_bad_input_raises_error_before_the_first_evaluation(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    victim, seen = network("plain"), count_evaluations(monkeypatch)
    given = [victim, "--data=CamVid", f"--data.root={root}", *words]
    printed = refusal(lambda: robustness.main(given), capsys)
    assert re.search(said, printed)
    assert seen == []


def test_duplicate_or_unknown_networks_raise_error(root: Path) -> None:
    victim = network("plain")
    with pytest.raises(InputError, match=r"plain.yaml was given twice"):
        run(root, [victim, victim], ["FGSM"], [40])
    with pytest.raises(InputError, match="There is no victim nowhere"):
        run(root, ["nowhere"], ["FGSM"], [40])


def test_images_without_labels_raise_error(root: Path) -> None:
    for file in (root / "valannot").iterdir():
        file.unlink()
    (root / "valannot").rmdir()
    with pytest.raises(InputError, match=r"plain: the 4 images in .* have no IoU .* Set --data.root and --data.split"):
        run(root, [network("plain")], ["FGSM"], [40])

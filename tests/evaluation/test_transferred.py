"""Tests of attacks that are made on one network and evaluated on another."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from tests.evaluation.test_robustness import network, opposite, ratio, root, run, scenes  # noqa: F401  # `root` is a fixture
from tests.helpers import refusal
from uap import transfer
from uap.attacks import DAG, FGSM, IterativeFGSM
from uap.evaluation import Transferred, evaluate
from uap.objectives import HideClasses, LeastLikely, RandomClasses, StaticTarget, Untargeted
from uap.utils.errors import InputError
from uap.victims import Victim

CLASSES = ["road", "sky", "car"]


def victim(seed: int, classes: list[str] = CLASSES) -> Victim:
    """Return a network with random weights that depend on the seed."""
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, len(classes), 3, padding=1))
    return Victim(layers, classes=classes, mean=(128, 128, 128), std=(64, 64, 64))


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (3, 3, 16, 24), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize(
    ("attack", "objective"),
    [(FGSM(8), Untargeted()), (IterativeFGSM(4), LeastLikely()), (DAG(steps=3), LeastLikely())],
    ids=["FGSM", "IterativeFGSMII", "DAG"],
)
def test_on_its_source_it_is_the_white_box_attack(attack: Any, objective: Any, images: Tensor) -> None:
    source = victim(0)
    transferred = Transferred(attack, source, objective)
    white_box = evaluate(source, images, attack, objective, batch_size=2, progress=False)
    found = evaluate(source, images, transferred, transferred.objective, batch_size=2, progress=False)
    assert found.metrics == white_box.metrics


def test_the_evaluated_network_is_not_seen_by_the_attack(images: Tensor) -> None:
    source, other = victim(0), victim(1)
    adversarial = FGSM(8)(source, images, Untargeted())
    transferred = Transferred(FGSM(8), source, Untargeted())
    found = evaluate(other, images, transferred, transferred.objective, progress=False).metrics["float"]
    with torch.no_grad():
        kept = (other(adversarial).argmax(1) == other(images).argmax(1)).float().mean()  # of its own clean prediction
    assert found["kept"] == pytest.approx(float(kept), abs=1e-6)
    own = evaluate(other, images, FGSM(8), Untargeted(), progress=False).metrics["float"]
    assert own["kept"] < found["kept"]  # a white-box attack is stronger


def test_a_target_is_translated_by_the_names_of_classes(images: Tensor) -> None:
    source, other = victim(0), victim(1, ["sky", "person", "road"])  # no car
    transferred = Transferred(FGSM(8), source, LeastLikely())
    found = evaluate(other, images, transferred, transferred.objective, progress=False).metrics["float"]
    with torch.no_grad():
        target = source(images).argmin(1)
        predicted = other(FGSM(8)(source, images, LeastLikely())).argmax(1)
    ids = torch.tensor([2, 0, 255])[target]
    assert 0 < (ids != 255).sum() < ids.numel()
    assert found["success_rate"] == pytest.approx(float((predicted == ids)[ids != 255].float().mean()), abs=1e-6)


def test_hidden_classes_are_those_of_the_evaluated_network(images: Tensor) -> None:
    source, attack = victim(0), IterativeFGSM(8)
    transferred = Transferred(attack, source, HideClasses(["car"]))
    white_box = evaluate(source, images, attack, HideClasses(["car"]), progress=False)
    found = evaluate(source, images, transferred, transferred.objective, progress=False)
    assert found.metrics == white_box.metrics
    assert found.backwards == white_box.backwards == 3 * attack.steps
    other = victim(1, ["car", "road", "sky"])
    with torch.no_grad():
        is_car = other(images).argmax(1) == 0
        predicted = other(attack(source, images, HideClasses(["car"]))).argmax(1)
    elsewhere = evaluate(other, images, transferred, transferred.objective, progress=False).metrics["float"]
    assert elsewhere["hidden"] == pytest.approx(float((predicted != 0)[is_car].float().mean()), abs=1e-6)
    assert elsewhere["remaining"] == pytest.approx(int((predicted == 0).sum()) / int(is_car.sum()), abs=1e-6)


def test_a_sample_depends_on_the_image_alone(images: Tensor) -> None:
    source = victim(0, ["road", "sky", "car", "tree", "pole", "sign", "fence"])
    with torch.no_grad():
        *_, weight, bias = source.network.parameters()
        weight[4:], bias[4:] = 0, -9  # 4 to 6 are absent, so that some are chosen
    whole = Transferred(FGSM(8), source, RandomClasses()).made(images)
    turned = Transferred(FGSM(8), source, RandomClasses()).made(images.flip(0)[:2])
    assert torch.equal(turned.goal.labels, whole.goal.labels.flip(0)[:2])
    assert torch.equal(turned.adversarial, whole.adversarial.flip(0)[:2])
    other_seed = Transferred(FGSM(8), source, RandomClasses(), seed=1).made(images)
    assert not torch.equal(other_seed.goal.labels, whole.goal.labels)


def test_kept_images_are_read_and_damaged_ones_are_made_again(images: Tensor, tmp_path: Path) -> None:
    source = victim(0)
    made = Transferred(DAG(steps=2), source, LeastLikely(), folder=tmp_path).made(images[:1])
    attack = DAG(steps=2)
    again = Transferred(attack, source, LeastLikely(), folder=tmp_path).made(images[:1])
    assert attack.cost.backwards == 0
    assert torch.equal(again.adversarial, made.adversarial)
    assert torch.equal(again.goal.labels, made.goal.labels)
    assert again.converged is not None
    assert made.converged is not None
    assert torch.equal(again.converged, made.converged)
    next(tmp_path.iterdir()).write_bytes(b"damaged")
    attack = DAG(steps=2)
    again = Transferred(attack, source, LeastLikely(), folder=tmp_path).made(images[:1])
    assert len(attack.cost.steps) == 1
    assert torch.equal(again.adversarial, made.adversarial)


def test_a_static_target_keeps_its_void(images: Tensor) -> None:
    objective = StaticTarget(labels="unused")
    objective.scene = torch.full((16, 24), 255, dtype=torch.uint8).numpy()
    objective.scene[:8] = 2
    objective.bind = lambda *args: None  # type: ignore[method-assign]  # the scene is known
    transferred = Transferred(FGSM(8), victim(0), objective)
    goal = transferred.objective.prepare(victim(1, ["car", "tree"]), images, torch.zeros(3, 2, 16, 24))
    assert set(goal.labels.flatten().tolist()) == {0, 255}


def matrix(out: Path) -> dict[tuple[str, str, str], Any]:
    content = json.loads((out / "transfer.json").read_text())
    return {(cell["made_from"], cell["network"], cell["attack"]): cell["metrics"] for cell in content["cells"]}


def words(root: Path, *more: str) -> list[str]:  # noqa: F811
    return [*more, "--data", "CamVid", "--data.root", str(root), "--data.size=[24,32]", "--quiet"]


def test_matrix_of_attacks(root: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    names = [network("plain"), network("low", 105.0)]
    attacks = ["--attacks", "FGSM", "FGSMII", "--epsilons", "60"]
    out = transfer.main(words(root, names[0], "--evaluate-on", names[1], *attacks))
    found = matrix(out)
    assert list(found) == [("plain", name, attack) for attack in ("FGSM", "FGSMII") for name in ("plain", "low")]
    curve = run(root, names, ["FGSM"], [60])
    white_box = {cell["network"]: cell for cell in json.loads((curve / "robustness.json").read_text())["cells"]}
    assert found["plain", "plain", "FGSM"] == white_box["plain"]["metrics"]
    adversarial = opposite(scenes(root)[0], 60, 128.0)  # made on the network with the threshold 128
    assert found["plain", "low", "FGSMII"]["float"]["iou_ratio"] == pytest.approx(ratio(adversarial, root, 105.0)[0])
    shown = f"{100 * found['plain', 'low', 'FGSM']['float']['iou_ratio']:.1f} %"
    assert shown in capsys.readouterr().out.split("## IoU ratio, FGSM, epsilon 60, float images")[1].split("##")[0]
    with (out / "transfer.csv").open(newline="") as file:
        rows = {(r["network"], r["attack"], r["scored"], r["metric"]): float(r["value"]) for r in csv.DictReader(file)}
    assert rows["low", "FGSM", "8-bit", "iou_ratio"] == found["plain", "low", "FGSM"]["8-bit"]["iou_ratio"]


def test_a_column_that_is_added_uses_the_kept_images(
    root: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, attacks = [network("plain"), network("low", 105.0)], ["--attacks", "FGSM", "--epsilons", "60"]
    out = transfer.main(words(root, names[0], *attacks))
    monkeypatch.setattr(FGSM, "run", None)  # no attack is made again
    transfer.main(words(root, names[0], "--evaluate-on", names[1], *attacks))
    assert len(matrix(out)) == 2


def test_wrapped_networks_are_rows_and_columns(root: Path) -> None:  # noqa: F811
    block = {"class_path": "uap.victims.Defended", "init_args": {"defenses": [{"class_path": "uap.defenses.Blur"}]}}
    block["init_args"]["defenses"][0]["init_args"] = {"sigma": 2.0}  # type: ignore[index]
    Path("smooth.yaml").write_text(yaml.safe_dump({"wrapper": block}))
    attacks = ["--attacks", "FGSM", "--epsilons", "60"]
    found = matrix(transfer.main(words(root, network("plain"), "--wrappers", "smooth.yaml", *attacks)))
    titles = ["plain", "plain, smooth"]
    assert list(found) == [(row, column, "FGSM") for row in titles for column in titles]
    unaware, aware = (found[row, "plain, smooth", "FGSM"]["float"]["kept"] for row in titles)
    assert aware != unaware


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["--attacks", "FGSM"], "--data CLASS"),
        (["--data", "CamVid"], "--attacks"),
        (["--wrappers", "blur"], "--attacks"),
        (["--attacks", "FGSM", "--data", "CamVid", "--wrappers", "blurr"], "blur, "),
        (["--attacks", "FGSM", "--data", "CamVid", "--weights", "a", "b"], "2 files, expected 1"),
    ],
)
def test_bad_input(
    changes: list[str],
    expected: str,
    root: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--data.root", str(root), "--data.size=[24,32]"] if "CamVid" in changes else []
    assert expected in refusal(lambda: transfer.main([network("plain"), *changes, *where]), capsys)


def test_a_row_of_several_networks_together_deceives_each(root: Path) -> None:  # noqa: F811
    names = [network("plain"), network("low", 105.0)]
    attacks = ["--attacks", "FGSM", "--epsilons", "60"]
    found = matrix(transfer.main(words(root, *names, "--joint", "plain+low", *attacks)))
    assert list(found) == [(row, name, "FGSM") for row in ("plain", "low", "plain + low") for name in ("plain", "low")]
    for name in ("plain", "low"):
        assert found["plain + low", name, "FGSM"]["float"]["iou_ratio"] < 1


def test_each_number_of_steps_has_cells_that_are_those_of_an_attack_of_that_length(root: Path) -> None:  # noqa: F811
    attacks = ["--attacks", "IterativeFGSM", "--epsilons", "60", "--steps", "1", "50"]
    out = transfer.main(words(root, network("plain"), *attacks))
    found = {cell["steps"]: cell for cell in json.loads((out / "transfer.json").read_text())["cells"]}
    assert found[1]["metrics"]["float"]["max_norm"] == 1
    assert found[50]["metrics"]["float"]["max_norm"] == 50
    assert ", 50 steps, float images" in (out / "transfer.md").read_text()
    with pytest.raises(InputError, match="FGSM has a fixed number of steps"):
        transfer.main(words(root, network("plain"), "--attacks", "FGSM", "--steps", "5"))


def test_a_joint_row_of_an_unknown_network_or_objective_is_refused(root: Path) -> None:  # noqa: F811
    name = network("plain")
    with pytest.raises(InputError, match="--joint names other, which is no row"):
        transfer.main(words(root, name, "--joint", "plain+other", "--attacks", "FGSM"))
    with pytest.raises(InputError, match="LeastLikely"):
        transfer.main(words(root, name, network("low", 105.0), "--joint", "plain+low", "--attacks", "FGSMII"))

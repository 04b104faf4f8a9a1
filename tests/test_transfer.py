"""Tests of `python -m uap.transfer`."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from tests.helpers import SIZE, attack_args, make_camvid
from tests.scoring.runs import block_scene, bright, config, make_run, noise, perturbed
from uap import fit, transfer
from uap.datasets.pictures import read_image
from uap.evaluation.saved_perturbation import SavedPerturbation
from uap.evaluation.setup import EvaluationSetup
from uap.metrics.names import METRICS
from uap.utils.errors import InputError

CLASSES = ["sky", "building"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


@pytest.fixture
def runs(root: Path) -> list[str]:
    """Create two runs whose networks have the same classes in another order."""
    make_run(Path("runs/first"), config(root, classes=CLASSES), noise(0), block_scene())
    turned = config(root, classes=CLASSES[::-1], threshold=100.5)
    make_run(Path("runs/second"), turned, noise(1), block_scene()[::-1, ::-1].copy())
    return ["runs/first", "runs/second"]


def tables(out: str = "transfer") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(out) / "transfer.json").read_text())
    return found


def cells(out: str = "transfer") -> dict[tuple[str, str], Any]:
    return {(cell["perturbation"], cell["evaluated_on"]): cell for cell in tables(out)["cells"]}


def validation_images(root: Path) -> NDArray[np.uint8]:
    return np.stack([read_image(path) for path in sorted((root / "val").glob("*.png"))])


def test_matrix_has_every_perturbation_on_every_network(root: Path, runs: list[str]) -> None:
    assert transfer.main(runs) == Path("transfer")
    images, found = validation_images(root), cells()
    scenes = {"first": block_scene(), "second": 1 - block_scene()[::-1, ::-1]}  # both in the first network's classes
    assert len(found) == 8
    for row, proto in (("first", noise(0)), ("second", noise(1))):
        for column, threshold in (("first", 128.5), ("second", 100.5)):
            predicted = bright(perturbed(images, proto), threshold)
            scene = scenes[row] if column == "first" else 1 - scenes[row]
            metrics = found[row, column]["metrics"]
            assert metrics["success_rate"] == pytest.approx((predicted == scene).mean())
            assert metrics["success_before"] == pytest.approx((bright(images, threshold) == scene).mean())
            facts = {key: found[row, column][key] for key in ("control", "images", "size", "note")}
            assert facts == {"control": False, "images": 4, "size": list(SIZE), "note": ""}
    assert len({cell["metrics"]["success_rate"] for cell in found.values() if not cell["control"]}) == 4


def test_random_signs_have_the_target_of_each_row(root: Path, runs: list[str]) -> None:
    transfer.main([*runs, "--evaluate-on", "runs/first"])
    controls = [cell for cell in tables()["cells"] if cell["control"]]
    names = [f"random signs, epsilon 60, in place of {name}" for name in ("first", "second")]
    assert [cell["perturbation"] for cell in controls] == names
    before = [cell["metrics"]["success_before"] for cell in controls]
    assert before == [cells()[name, "first"]["metrics"]["success_before"] for name in ("first", "second")]


def test_files_and_output_have_the_same_metrics(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    transfer.main([*runs, "--quiet"])
    found, printed, text = cells(), capsys.readouterr().out, Path("transfer/transfer.md").read_text()
    with Path("transfer/transfer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    long = {
        (row, column, metric, str(cell["control"])): value
        for (row, column), cell in found.items()
        for metric, value in cell["metrics"].items()
    }
    assert {
        (row["perturbation"], row["evaluated_on"], row["metric"], row["control"]): float(row["value"]) for row in rows
    } == long
    rates = [f"{100 * found['second', column]['metrics']['success_rate']:.1f} %" for column in ("first", "second")]
    for shown in (printed, text):
        matrix = shown.split("## Success rate")[1].split("##")[0]
        line = next(line for line in matrix.splitlines() if line.startswith("| second "))
        assert [cell.strip() for cell in line.split("|")[2:4]] == rates
        assert METRICS["miou_target"].description in shown
        assert "Hidden" not in shown
    assert "| first" in text.split("##")[0]
    assert "Brightness" in text
    assert "transfer/transfer.md" in printed
    assert tables()["evaluated_on"]["second"] == {
        "network": "Brightness",
        "data": "CamVid, val",
        "images": "4",
        "size": "24 x 32",
    }


def test_the_same_seed_gives_the_same_files(runs: list[str]) -> None:
    for out in ("a", "b"):
        transfer.main([*runs, "--images", "2", "--seed", "3", "--out", out])
    transfer.main([*runs, "--images", "2", "--seed", "4", "--out", "c"])
    for name in ("transfer.md", "transfer.csv", "transfer.json"):
        assert (Path("a") / name).read_text() == (Path("b") / name).read_text()
    assert cells("a") != cells("c")
    assert {cell["images"] for cell in cells("a").values()} == {2}


def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the cells that are scored from now on."""
    titles: list[str] = []

    score = EvaluationSetup.score

    def noted(self: EvaluationSetup, learned: SavedPerturbation, title: str) -> Any:
        titles.append(title)
        return score(self, learned, title)

    monkeypatch.setattr(EvaluationSetup, "score", noted)
    return titles


def test_existing_cells_are_not_scored_again(runs: list[str], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = scored(monkeypatch)
    transfer.main(["runs/first"])
    assert titles == ["first on first", "random signs, epsilon 60 on first"]
    first = cells()["first", "first"]
    titles.clear()
    transfer.main([*runs, "--onto", "runs/first"])
    assert titles == ["second on first", "random signs, epsilon 60, in place of second on first"]
    assert cells()["first", "first"] == first
    titles.clear()
    Path("transfer/transfer.json").unlink()
    transfer.main(runs[:1])
    assert titles == []
    assert len(cells()) == 2
    make_run(Path("runs/first"), config(root, classes=CLASSES), noise(5), block_scene())
    Path("transfer/transfer.json").unlink()
    transfer.main(runs[:1])
    assert titles == ["first on first"]  # it was learned again; the random signs are the same
    assert cells()["first", "first"] != first


@pytest.mark.parametrize("changed", [["runs/first"], ["runs/second", "--onto", "runs/first"], ["--images", "2"]])
def test_matrices_of_other_runs_or_settings_are_not_overwritten(
    runs: list[str], changed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer.main([*runs, "--onto", "runs/first"])
    before = {path: path.read_bytes() for path in Path("transfer").rglob("*") if path.is_file()}
    monkeypatch.setattr("uap.transfer.score_all", None)  # nothing is scored before
    with pytest.raises(
        InputError, match=r"transfer.json has \d cells of other networks or settings .* Set another --out"
    ):
        transfer.main([*runs, *changed] if changed[0].startswith("-") else changed)
    assert {path: path.read_bytes() for path in Path("transfer").rglob("*") if path.is_file()} == before


def test_truncated_cell_is_scored_again(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    transfer.main(runs[:1])
    before = tables()
    for path, text in zip(sorted(Path("transfer/cells").iterdir()), ('{"metrics": {', "[]"), strict=True):
        path.write_text(text)
    titles = scored(monkeypatch)
    transfer.main(runs[:1])
    assert len(titles) == 2
    assert tables() == before


def test_column_can_be_a_configuration_file_with_another_size(root: Path, runs: list[str]) -> None:
    Path("large.yaml").write_text(yaml.safe_dump(config(root, classes=["building", "car", "sky"], size=(48, 64))))
    make_run(Path("runs/tiles"), config(root, classes=CLASSES), noise(tile=(8, 8)), block_scene())
    transfer.main(["runs/first", "runs/tiles", "--onto", "large.yaml"])
    found = cells()
    assert found["first", "large"]["size"] == list(SIZE)  # as it was learned
    assert found["tiles", "large"]["size"] == [48, 64]
    assert tables()["evaluated_on"]["large"]["size"] == "48 x 64"


def test_network_without_data_is_evaluated_on_the_images_of_the_run(root: Path, runs: list[str]) -> None:
    network = {"model": config(root, classes=["building", "car", "sky"])["model"]}
    Path("net.yaml").write_text(yaml.safe_dump(network))
    transfer.main([*runs, "--onto", "net.yaml", "runs/first"])
    found = cells()
    assert tables()["evaluated_on"]["net"] == tables()["evaluated_on"]["first"]
    undefined = {"iou_ratio"}  # the classes of this network are in another order, so that its clean mIoU is 0
    assert set(found["first", "net"]["metrics"]) == set(found["first", "first"]["metrics"]) - undefined


def test_network_without_data_is_evaluated_on_the_images_of_each_run(
    root: Path, runs: list[str], tmp_path: Path
) -> None:
    other = make_camvid(tmp_path / "other", val=3)
    make_run(Path("runs/third"), config(other, classes=CLASSES), noise(2), block_scene())
    Path("net.yaml").write_text(yaml.safe_dump({"model": config(root, classes=CLASSES, threshold=90.5)["model"]}))
    transfer.main([*runs, "runs/third", "--onto", "net.yaml"])
    columns = tables()["evaluated_on"]
    assert {name: facts["images"] for name, facts in columns.items()} == {
        "net, images of first": "4",
        "net, images of third": "3",
    }


def test_column_can_be_the_name_of_a_shipped_network(root: Path, runs: list[str], tmp_path: Path) -> None:
    transfer.main(["runs/first", "--onto", "espnet_streetscenes"])
    assert tables()["evaluated_on"]["espnet_streetscenes"]["network"] == "ESPNet"


def test_runs_with_the_same_network_and_images_share_a_column(root: Path) -> None:
    for name in ("weak", "strong"):
        make_run(Path(name), config(root, classes=CLASSES), noise(tile=(8, 8)), block_scene())
    make_run(Path("hide"), config(root, classes=CLASSES, hide=["building"]), noise(tile=(8, 8)))
    transfer.main(["weak", "strong", "hide"])
    (column,) = tables()["evaluated_on"]
    assert column == "weak, strong, hide"
    assert set(cells()["hide", column]["metrics"]) >= {"hidden", "preserved"}
    text = Path("transfer/transfer.md").read_text()
    assert "| hide" not in text.split("## Success rate")[1].split("##")[0]
    lines = text.split("## Hidden")[1].split("##")[0].splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")][2:] == [
        "hide",
        "random signs, epsilon 60, in place of hide",
    ]


def test_network_without_the_classes_has_an_empty_cell(root: Path, runs: list[str]) -> None:
    Path("animals.yaml").write_text(yaml.safe_dump(config(root, classes=["cat", "dog"])))
    transfer.main(["runs/first", "--onto", "animals.yaml", "runs/first"])
    cell = cells()["first", "animals"]
    assert cell["metrics"] == {}
    text = Path("transfer/transfer.md").read_text()
    assert "* first on animals: 100.0 % of the target has no class in this network and is ignored.\n" in text
    line = next(line for line in text.split("## Success rate")[1].splitlines() if line.startswith("| first"))
    assert line.split("|")[2].strip() == "\N{EN DASH}"


def test_network_with_a_wrong_setup_gives_a_warning(
    root: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text(yaml.safe_dump(config(root, classes=CLASSES[::-1])))
    transfer.main(["runs/first", "--onto", "runs/first", "wrong.yaml"])
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "warning: wrong: The mean IoU with the labels is 0.00, below 0.2. Check channel_order"
    )


def test_transfer_of_a_run_of_uap_fit(root: Path, tmp_path: Path) -> None:
    """The cell of the run equals its own metrics, and only the folder of the tables is created."""
    out = tmp_path / "out"
    fit.main(attack_args(root, out, **{"model.optimizer.init_args.lr": 60}))
    before = set(tmp_path.rglob("*"))
    transfer.main([str(out)])
    metrics = json.loads((out / "metrics.json").read_text())
    found = cells()
    for name, value in found["out", "out"]["metrics"].items():
        if f"val/{name}" in metrics:
            assert value == pytest.approx(metrics[f"val/{name}"])
    control = found["random signs, epsilon 60", "out"]["metrics"]
    assert found["out", "out"]["metrics"]["success_rate"] > control["success_rate"] + 0.1
    new = {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.rglob("*")) - before}
    assert new == {"transfer"}  # the clean predictions are the run's


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], r"There is no folder none, .*Give the folder of a finished run of python -m uap.fit"),
        (["runs/first", "runs/first"], "runs/first was given twice"),
        (["runs/first", "--onto", "none.yaml"], r"There is no victim none.yaml.*espnet_camvid"),
        (["runs/first", "--onto", "data.yaml"], r"data.yaml describes no model.victim"),
        (["runs/first", "--out", "file"], r"file.* cannot be written \(.*\). Set another --out"),
    ],
)
def test_bad_input_prints_an_error_message(
    root: Path, runs: list[str], arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uap.transfer.score_all", None)  # nothing is scored before
    settings = config(root, classes=CLASSES)
    Path("data.yaml").write_text(yaml.safe_dump({"data": settings["data"]}))
    Path("file").write_text("")
    with pytest.raises(InputError, match=message):
        transfer.main(arguments)


@pytest.mark.parametrize("arguments", [["--images", "0"], ["--seed", "-1"], ["--seed", "x"]])
def test_number_of_images_must_be_an_integer(
    runs: list[str], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        transfer.main([*runs, *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err

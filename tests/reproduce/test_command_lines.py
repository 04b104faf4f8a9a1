"""Trials of commands other than `fit`, by their command lines: their words, identity, cells and tables."""

import csv
import json
import sys
from argparse import ArgumentParser
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.helpers import make_camvid
from tests.reproduce.helpers import BRIGHTNESS
from uap.reproduce import main
from uap.reproduction import curves
from uap.reproduction.configuring import contents_of, filled, options
from uap.reproduction.measurements import measurements
from uap.reproduction.running import RECORD
from uap.reproduction.table import Cell, Entry, Table, columns, is_share, pivoted
from uap.reproduction.trials import Trial, shard
from uap.utils import paths
from uap.utils.errors import InputError

NETWORKS = {"small": 0.5, "large": 0.25}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Add the command `uap.scored`, which writes cells for each network and epsilon; return its command lines."""
    lines: list[list[str]] = []

    def scored(words: list[str]) -> None:
        lines.append(words)
        parser = ArgumentParser()
        parser.add_argument("networks", nargs="+")
        parser.add_argument("--epsilons", nargs="+", type=float, default=[2.0])
        parser.add_argument("--images", type=int, choices=[3, 4])
        parser.add_argument("--weights")
        parser.add_argument("--out", type=Path, required=True)
        given = parser.parse_args(words)
        cells = [
            {
                "network": name,
                "epsilon": epsilon,
                "cell": f"{name}{epsilon}",
                "metrics": {form: {"iou_ratio": NETWORKS[name] / epsilon} for form in ("float", "8-bit")},
            }
            for name in given.networks
            for epsilon in given.epsilons
        ]
        (given.out / "scored.json").write_text(json.dumps({"images": f"{given.images} of 9", "cells": cells}))

    module = ModuleType("uap.scored")
    module.main = scored  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("uap.scored", None)
    monkeypatch.setitem(sys.modules, "uap.scored", module)
    return lines


def written(name: str = "curve", **changes: Any) -> str:
    """Write a reproduction with one trial for each network; return the name of its file."""
    content = {
        "title": "IoU ratio over epsilon",
        "shows": "More is more.",
        "folders": {"weights": "nowhere"},
        "axes": {
            "network": {
                "Small": {"words": ["small"], "settings": {"weights": "{weights}/small.pth"}},
                "Large": {"words": ["large"]},
            },
        },
        "runs": [
            {
                "command": "scored",
                "arguments": {"epsilons": [0.5, 2.0], "images": 3},
                "cells": {"images": "form", "epsilon": "epsilon"},
            },
        ],
        "metrics": {"scored/iou_ratio": "IoU ratio"},
        "columns": "epsilon",
        "curves": "epsilon",
        **changes,
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return f"{name}.yaml"


def rows(name: str = "curve") -> list[dict[str, str]]:
    with Path(f"out/{name}/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_cells_are_rows_and_an_axis_of_theirs_is_columns(
    called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    main([written(), "--out", "out"])

    found = {(row["network"], row["images"], row["epsilon"]): float(row["scored/iou_ratio"]) for row in rows()}
    assert found == {
        (network, form, epsilon): 100 * NETWORKS[network.lower()] / float(epsilon)
        for network in ("Small", "Large")
        for form in ("float", "8-bit")
        for epsilon in ("0.5", "2")
    }
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert ["network", "images", "epsilon 0.5", "epsilon 2"] in lines
    assert ["Small", "float", "100.0", "25.0"] in lines
    assert ["Large", "8-bit", "50.0", "12.5"] in lines
    assert Path("out/curve/curve.png").stat().st_size > 5000
    assert "3 of 9 images" in Path("out/curve/curve.md").read_text()
    assert "uap scored small --epsilons 0.5 2.0 --images=3" in Path("out/curve/curve.html").read_text()


def test_a_command_line_has_words_arguments_overrides_and_settings_in_this_order(called: list[list[str]]) -> None:
    main([written(), "--out", "out", "--weights", "W", "--scored.images", "4", "--epsilons", "1"])
    ends = ["--out=" + str(next(Path("out/trials").glob(f"*/{RECORD}")).parent)]
    small, large = called
    assert small[:-1] == ["small", "--epsilons", "0.5", "2.0", "--images=4", "--epsilons", "1", "--weights=W/small.pth"]
    assert large[:-1] == ["large", "--epsilons", "0.5", "2.0", "--images=4", "--epsilons", "1"]
    assert {small[-1], large[-1]} >= set(ends)
    assert {row["epsilon"] for row in rows()} == {"1"}


def test_a_finished_trial_is_not_run_again_and_other_weights_are_another_trial(called: list[list[str]]) -> None:
    Path("w").mkdir()
    Path("w/small.pth").write_bytes(b"one")
    main([written(), "--out", "out", "--weights", "w"])
    assert len(called) == 2
    main([written("other"), "--out", "out", "--weights", "w"])
    assert len(called) == 2
    Path("w/small.pth").write_bytes(b"two")
    main([written("third"), "--out", "out", "--weights", "w"])
    assert [line[0] for line in called[2:]] == ["small"]


def test_a_refused_command_line_leaves_the_others(called: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    networks = {"Small": {"words": ["small"], "settings": {"images": 5}}, "Large": {"words": ["large"]}}
    with pytest.raises(InputError, match=r"^network Small: `uap scored small .*--images=5` is refused"):
        main([written(axes={"network": networks}), "--out", "out"])
    assert "invalid choice" in capsys.readouterr().err
    assert [row["network"] for row in rows() if row["scored/iou_ratio"]] == ["Large"] * 4


def done(content: dict[str, Any], command: str = "scored") -> Trial:
    """Return a trial that is done, with these results."""
    trial = Trial("one", command, {}, words=["small"])
    folder = Path("out") / trial.folder
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{}")
    (folder / f"{command}.json").write_text(json.dumps(content))
    return trial


MATRIX = [
    {"perturbation": made, "evaluated_on": on, "control": False, "metrics": {"float": {"iou_ratio": value}}}
    for made, on, value in [("A", "A", 0.1), ("A", "B", 0.9), ("B", "A", 0.8), ("B", "B", 0.2)]
]


def test_a_matrix_of_made_from_and_scored_on() -> None:
    trial = done({"cells": MATRIX}, "transfer")
    found = measurements(trial, {"made from": "perturbation", "scored on": "evaluated_on"}, Path("out"))
    assert found[1] == ({"made from": "A", "scored on": "B"}, {"float/iou_ratio": 0.9})
    entries = [Entry(names, {key: Cell(100 * value) for key, value in own.items()}) for names, own in found]
    table = pivoted(Table(["made from", "scored on"], {"float/iou_ratio": "IoU ratio"}, entries), "scored on")
    assert columns(table) == (
        ["made from", "scored on A", "scored on B"],
        [["A", "10.0", "90.0"], ["B", "80.0", "20.0"]],
    )


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"scored on": "evaluated_on"}, r"several cells with float/iou_ratio for .*'scored on': 'A'"),
        ({"scored on": "onto"}, "no 'onto' in a cell, expected perturbation, evaluated_on"),
    ],
)
def test_wrong_keys_of_cells_are_refused(cells: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measurements(done({"cells": MATRIX}, "transfer"), cells, Path("out"))


def test_rows_of_distortions_have_the_clean_images_as_control() -> None:
    row = {"distortion": "none", "metrics": {"success_rate": 0.9}, "control": {"success_rate": 0.1}}
    found = measurements(done({"rows": [row]}, "distortions"), {"distortion": "distortion"}, Path("out"))
    assert found == [({"distortion": "none"}, {"scored/success_rate": 0.9, "control/success_rate": 0.1})]


def test_an_epsilon_of_null_is_no_name() -> None:
    cell = {"attack": "DAG", "epsilon": None, "metrics": {"kept": 0.5}}
    found = measurements(done({"cells": [cell]}), {"attack": "attack", "epsilon": "epsilon"}, Path("out"))
    assert found == [({"attack": "DAG"}, {"scored/kept": 0.5})]


def test_a_pivoted_table_keeps_the_paper_s_values_and_several_metrics() -> None:
    table = Table(
        ["network", "epsilon"],
        {"a/hidden": "hidden", "a/psnr": "PSNR"},
        [
            Entry({"network": "A", "epsilon": "1"}, {"a/hidden": Cell(3.0), "a/psnr": Cell(20.0, None, False)}),
            Entry({"network": "A", "epsilon": "2"}, {"a/hidden": Cell(4.0)}, {"a/hidden": 9.5}),
            Entry({"network": "A"}, {"a/hidden": Cell(5.0)}),
        ],
    )
    header, shown = columns(pivoted(table, "epsilon"))
    assert header == ["network", "hidden, epsilon 1", "hidden, epsilon 2", "paper", "hidden", "PSNR, epsilon 1"]
    assert shown == [["A", "3.0", "4.0", "9.5", "5.0", "20"]]
    assert pivoted(table, None) is table


def test_a_panel_for_each_value_of_an_axis() -> None:
    entries = [
        Entry({"network": network, "attack": attack, "epsilon": "1"}, {"float/iou_ratio": Cell(3.0)})
        for network in ("A", "B")
        for attack in ("FGSM", "DAG")
    ]
    table = Table(["network", "attack", "epsilon"], {"float/iou_ratio": "IoU ratio"}, entries)
    panels = curves.lines_of(table, "epsilon", "attack")
    assert {title: [line.label for line in lines] for title, lines in panels.items()} == {
        "IoU ratio, FGSM": ["network A", "network B"],
        "IoU ratio, DAG": ["network A", "network B"],
    }


def test_panels_have_units_and_labels_without_what_all_lines_share() -> None:
    entries = [
        Entry(
            {"data": "A", "attack": attack, "step": "1"}, {"float/mean_change": Cell(3.0), "float/swapped": Cell(9.0)}
        )
        for attack in ("FGSM", "DAG")
    ]
    metrics = {"float/mean_change": "change", "float/swapped": "swapped", "seconds": "seconds"}
    panels = curves.lines_of(Table(["data", "attack", "step"], metrics, entries), "step")
    assert {title: (lines[0].unit, lines[0].label) for title, lines in panels.items()} == {
        "mean change": ("grey levels", "change, attack FGSM"),
        "swapped": ("%", "swapped, attack FGSM"),
    }


def test_units_decide_which_metrics_are_in_per_cent() -> None:
    assert [is_share(key) for key in ("float/iou_ratio", "8-bit/perceptibility", "train/other", "seconds")] == [
        True,
        False,
        True,
        False,
    ]
    assert Cell(0.0017123, None, False).text() == "0.00171"


def test_a_configuration_counts_with_the_files_that_it_names() -> None:
    Path("net.yaml").write_text("model: {victim: {init_args: {weights: net.pth}}}")
    Path("net.pth").write_bytes(b"one")
    first = contents_of(["net.yaml", "--images=3"])
    Path("net.pth").write_bytes(b"two!")
    assert contents_of(["net.yaml", "--images=3"]) != first
    Path("net.pth").write_bytes(b"one")
    Path("copy.yaml").write_text(Path("net.yaml").read_text())
    assert contents_of(["copy.yaml", "--images=3"]) == first
    assert contents_of(["espnet_streetscenes"]) == contents_of(
        [str(paths.shipped("configs/victim/espnet_streetscenes.yaml"))]
    )


def test_a_shipped_network_can_stand_in_settings_by_its_name() -> None:
    ((victim,),) = [filled([{"victim": "cgnet_camvid", "weights": "{nets}/c.pth"}], {"nets": "N"})]
    assert victim["class_path"] == "uap.victims.Victim"
    assert victim["init_args"]["weights"] == "N/c.pth"
    assert victim["init_args"]["network"]["class_path"] == "uap.networks.CGNet"


def test_options_are_words() -> None:
    assert options({"a": 0.5, "b": ["x", 2], "c.d": [1, 2], "e": None}) == ["--a=0.5", "--b", "x", "2", "--c.d=[1, 2]"]


def test_shards_spread_trials_without_gradient_evaluations() -> None:
    trials = [Trial(str(i), "robustness", {}, words=[str(i)]) for i in range(4)]
    assert [[trial.title for trial in shard(trials, number, 2)] for number in (1, 2)] == [["0", "2"], ["1", "3"]]


def test_a_command_line_can_name_the_run_of_a_learned_perturbation() -> None:
    make_camvid(Path("camvid"))
    metrics = {"scored/success_rate": "success", "control/success_rate": "success, random signs"}
    content = {
        "title": "Test images",
        "shows": "Less.",
        "experiments": {"static": {"configs": [str(BRIGHTNESS)], "settings": {"model.optimizer.lr": 60}}},
        "axes": {"epsilon": {"setting": "model.epsilon", "values": [80]}},
        "runs": [{"command": "transfer", "words": ["{run}"], "arguments": {"images": 2}}],
        "metrics": metrics,
    }
    Path("run.yaml").write_text(yaml.safe_dump(content))
    main(["run.yaml", "--out", "out", "--data.root", "camvid", "--quiet"])

    (row,) = rows("run")
    (file,) = Path("out/trials").glob("transfer-*/transfer.json")
    values = [100 * cell["metrics"]["success_rate"] for cell in json.loads(file.read_text())["cells"]]
    assert [float(row[key]) for key in metrics] == pytest.approx(values, abs=1e-4)


def test_robustness_of_a_network_is_a_table() -> None:
    make_camvid(Path("camvid"))
    run = {
        "command": "robustness",
        "words": [str(BRIGHTNESS)],
        "arguments": {"data": "CamVid", "data.root": "camvid", "images": 1, "attacks": ["FGSM"], "epsilons": [1, 80]},
        "cells": {"network": "network", "attack": "attack", "epsilon": "epsilon"},
    }
    metrics = {"float/iou_ratio": "float", "8-bit/iou_ratio": "8-bit"}
    main([written(axes={}, runs=[run], metrics=metrics, folders={}), "--out", "out", "--quiet"])
    (file,) = Path("out/trials").glob("*/robustness.json")
    cells = json.loads(file.read_text())["cells"]
    assert [row["epsilon"] for row in rows()] == ["1", "80"]
    for key in metrics:
        form, _, name = key.partition("/")
        values = [100 * cell["metrics"][form][name] for cell in cells]
        assert [float(row[key]) for row in rows()] == pytest.approx(values, abs=1e-4)

"""The components of a reproduction, without any run."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reproduce.helpers import PAPER, content
from uap.reporting.numbers import NOTHING
from uap.reproduce import ON, _names, listing, load, main, parse_shard
from uap.reproduction import curves
from uap.reproduction.configuring import resolved
from uap.reproduction.reading import read_reproduction
from uap.reproduction.reproduction import Layer, Reproduction
from uap.reproduction.running import Measured, about, time_left
from uap.reproduction.table import Cell, Entry, Table, columns, table_csv, table_markdown
from uap.reproduction.trials import Trial, rows_of, shard, unique
from uap.utils.errors import InputError


def read(**changes: Any) -> Reproduction:
    Path("table.yaml").write_text(yaml.safe_dump(content(**changes), sort_keys=False))
    return read_reproduction(Path("table.yaml"), "table")


def trial(command: str = "fit", epochs: int = 60, limit: int | None = 10, **arguments: int) -> Trial:
    config = {
        "trainer": {"max_epochs": epochs},
        "data": {"class_path": "uap.data.CamVid", "init_args": {"limit": limit}},
        "model": {
            "epsilon": 10.0,
            "objective": {"class_path": "uap.objectives.StaticTarget"},
            "victim": {"class_path": "uap.victims.HuggingFace", "init_args": {}},
        },
    }
    return Trial("one", command, config, arguments)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no title": ({"title": None}, "table.yaml: .*required: title"),
    "no metrics": ({"metrics": None}, "table.yaml: .*required: metrics"),
    "no experiment": ({"experiments": None}, "table.yaml has no `experiments`, expected a name with `configs`"),
    "a number for text": ({"shows": 7}, "table.yaml: shows: Expected a text, got 7"),
    "text for a number": ({"examples": "two"}, "table.yaml: examples: Expected a whole number, got two"),
    "a number for a flag": ({"perturbations": 1}, "table.yaml: perturbations: Expected true or false, got 1"),
    "an unknown key": ({"axis": {}}, "table.yaml has an unknown 'axis', expected .*experiments"),
    "an unknown key of a run": ({"runs": [{"comand": "fit"}]}, "table.yaml: runs: Option 'comand' is not accepted"),
    "an unknown key of an axis": (
        {"axes": {"epsilon": {"2": {"setings": {"model.epsilon": 2}}}}},
        "table.yaml: axes: Option 'setings",
    ),
    "settings without names": (
        {"experiments": {"static": {"settings": ["model.epsilon"]}}},
        "table.yaml: experiments.settings: Expected .*got .'model.epsilon'",
    ),
    "a key without a value": (
        {"experiments": {"static": {"settings": None}}},
        "table.yaml, experiments has `settings` without a value",
    ),
    "an axis without values": ({"axes": {"epsilon": {"setting": "model.epsilon"}}}, "axes.epsilon .*with `values`"),
    "an unknown axis": ({"curves": "omega"}, "table.yaml names 'omega', but its axes are epsilon"),
    "an unknown axis of a run": ({"runs": [{"axes": ["omega"]}]}, "names 'omega', but its axes are epsilon"),
    "an unknown command": ({"runs": [{"command": "train"}]}, "names the command 'train', but uap has none"),
    "a module that is no command": ({"runs": [{"command": "losses"}]}, "names the command 'losses', but uap has none"),
    "an unknown experiment": ({"runs": [{"experiment": "dynamic"}]}, "names 'dynamic', but its experiments are static"),
    "a transfer without an axis to evaluate on": (
        {"runs": [{"command": "transfer"}]},
        "expected one of the axes as `evaluate_on` of a transfer",
    ),
    "an unknown metric of the paper": (
        {"paper": {**PAPER, "rows": [{"epsilon": 10, "success": 3}]}},
        "names 'success', but its axes and metrics are epsilon, train/success_rate",
    ),
    "half of the paper": ({"paper": {"source": "Somebody"}}, "table.yaml: paper: .*required: network, data"),
    "a number for the paper": ({"paper": 5}, "table.yaml: paper: Not a valid .*Paper; got 5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused(name: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(InputError, match=message) as raised:
        read(**changes)
    assert "\n" not in str(raised.value)
    assert "Namespace(" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table9"], "There is no reproduction table9. There are: .*metzen2017/figure3, .*metzen2017/table1"),
        (["none.yaml"], "There is no reproduction none.yaml. Check the path"),
        (["metzen2017/table1", "--on", "mars"], "--on is mars, but .* There are: camvid, camvid_20, streetscenes"),
        (["metzen2017/table1", "metzen2017/table2"], "metzen2017/table2 is one name too many"),
        (["metzen2017/table1", "--shard", "3/2"], "--shard is 3/2, expected i/n with i from 1 to n, such as 1/4"),
        (["metzen2017/table1", "--model.epsilonn", "3"], "metzen2017/table1, epsilon 2: .*epsilonn"),
        (["metzen2017/table1", "--trainer.devices", "2"], "trainer.devices is 2, but a trial runs on one device"),
        (["metzen2017/table1", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_a_wrong_argument_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.compile(message, re.DOTALL)):
        main(arguments)
    assert not Path("runs").exists()


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected i/n"):
        parse_shard(text)


def test_without_a_name_the_command_lists_the_reproductions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == []
    printed = capsys.readouterr().out
    assert re.search("metzen2017/table1 +Success of a static target by epsilon\n", printed)
    assert "camvid|camvid_20|streetscenes|voc|FILE" in printed
    assert printed.strip() == listing().strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", _names())
def test_every_shipped_reproduction_is_read(name: str) -> None:
    found = load(name, None)
    first = {
        axis: dict([*values.items()][:1]) if axis == found.reduce else values for axis, values in found.axes.items()
    }
    rows = rows_of(replace(found, axes=first), [])
    assert len({row.trial.folder for row in rows}) == len({tuple(row.names.values()) for row in rows})


@pytest.mark.slow
@pytest.mark.parametrize("on", [name for name in _names(ON) if name != "voc"])
@pytest.mark.parametrize("name", [name for name in _names() if name.startswith("metzen2017")])
def test_the_paper_runs_on_other_data(name: str, on: str) -> None:
    found = load(name, on)
    assert found.on is not None
    assert all(len(found.layers(name)) == 2 for name in found.experiments)
    own = "uap.data.StreetScenes" if on == "streetscenes" else "uap.data.CamVid"
    data = [row.trial.config["data"] for row in rows_of(found, ["--data.root", "given"])]
    roots = {
        is_own: [d["init_args"]["root"] for d in data if (d["class_path"] == own) is is_own] for is_own in (True, False)
    }
    assert "given" in roots[True]
    assert "given" not in roots[False]  # nor is anything of other data written there


def test_a_file_of_the_user_names_its_data_and_network() -> None:
    read()
    here = {
        "title": "my data",
        "experiments": {"static": {"settings": {"data.limit": 3}}},
        "axes": {
            "epsilon": {"setting": "model.epsilon", "values": [7]},
            "tile": {"setting": "model.tile", "values": [1]},
        },
    }
    Path("mine.yaml").write_text(yaml.safe_dump(here))
    found = load("table.yaml", "mine.yaml")
    assert found.on is not None
    assert found.on.title == "my data"
    assert list(found.axes) == ["epsilon"]  # the reproduction has no other
    assert list(found.axes["epsilon"]) == ["7"]
    assert found.layers("static")[1].settings == {"data.limit": 3}

    Path("mine.yaml").write_text(yaml.safe_dump(here | {"experiments": {"other": {}}}))
    with pytest.raises(InputError, match="lacks the experiment static of table"):
        load("table.yaml", "mine.yaml")


def folder_of(name: str, on: str | None, **values: str) -> str:
    """The folder of a shipped reproduction's trial with these values of its axes."""
    found = load(name, on)
    axes = {axis: {value: found.axes[axis][value]} for axis, value in values.items()}
    (row,) = rows_of(replace(found, axes=axes, runs=found.runs[:1]), [])
    return row.trial.folder


@pytest.mark.parametrize(
    ("on", "tile", "images"),
    [(None, "512 x 512", "all"), ("camvid", "120 x 120", "all"), ("streetscenes", "128 x 128", "20")],
)
def test_the_paper_s_tables_share_their_common_trial(on: str | None, tile: str, images: str) -> None:
    folder = folder_of("metzen2017/table2", on, epsilon="10")
    assert folder_of("metzen2017/table3", on, omega="0.9999") == folder
    assert folder_of("metzen2017/figure6", on, tile=tile, images=images) == folder
    assert folder_of("metzen2017/table3", on, omega="0.9") != folder


def test_the_paper_s_experiments_have_the_paper_s_settings() -> None:
    static = rows_of(load("metzen2017/figure3", None), [])[0].trial.config
    dynamic = rows_of(load("metzen2017/figure5", None), [])[0].trial.config
    for config in (static, dynamic):
        assert config["trainer"]["max_epochs"] == 60
        assert [c["class_path"] for c in config["trainer"]["callbacks"]] == [
            "uap.universal.callbacks.full_batch.FullBatchGradient"
        ]
        assert config["data"]["init_args"]["size"] == [512, 1024]
        assert config["data"]["init_args"]["limit"] is None
        model = config["model"]
        assert model["optimizer"] == {
            "class_path": "uap.universal.optim.SignSGD",
            "init_args": {"lr": 1.0, "momentum": 0.0, "smoothing": 0.0},
        }
        assert model["loss"]["init_args"]["confidence"] == 0.75
        assert model["epsilon"] == 10
        assert model["victim"]["init_args"]["network"]["class_path"] == "uap.networks.FCN8s"
    assert (static["model"]["tile"], dynamic["model"]["tile"]) == (None, [512, 512])
    assert static["model"]["reduction"]["class_path"] == "uap.losses.Mean"
    assert dynamic["model"]["reduction"]["init_args"] == {"omega": 0.9999}
    assert dynamic["model"]["objective"]["init_args"]["hide"] == ["person"]


def test_a_setting_that_names_a_class_replaces_the_component() -> None:
    base = Layer(["configs/streetscenes_static.yaml", "configs/full_batch.yaml"], {"model.epsilon": 7})
    over = Layer([], {"model.optimizer": {"class_path": "uap.universal.optim.SignSGD", "init_args": {"lr": 3}}})
    config = resolved([base], ["--model.epsilon=5", "--data.limit=4"], [over, Layer([], {"data.limit": None})], {})
    assert config["model"]["optimizer"]["init_args"] == {
        "lr": 3.0,
        "momentum": 0.9,
        "smoothing": 0.0,
    }  # not the 0 of the file
    assert config["model"]["epsilon"] == 5
    assert config["data"]["init_args"]["limit"] is None
    assert config["trainer"]["max_epochs"] == 60


def test_other_weights_under_the_same_name_are_another_trial() -> None:
    Path("weights.pth").write_bytes(b"one")
    config = trial().config
    config["model"]["victim"]["init_args"]["weights"] = "weights.pth"
    first = Trial("one", "fit", config).folder
    config["model"]["victim"]["init_args"]["weights"] = str(Path("copy.pth").absolute())
    Path("copy.pth").write_bytes(b"one")
    assert Trial("another title", "fit", config).folder == first
    Path("copy.pth").write_bytes(b"two!")
    assert Trial("one", "fit", config).folder != first
    assert Trial("one", "attack", config).folder != Trial("one", "attack", config, {"steps": 3}).folder


def test_shards_have_the_same_work_and_all_trials() -> None:
    trials = [trial(limit=limit) for limit in (1, 2, 3, 4, 5, 6)]
    shards = [shard(trials, number, 3) for number in (1, 2, 3)]
    assert [[trials.index(p) + 1 for p in own] for own in shards] == [[1, 6], [2, 5], [3, 4]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joint", "cost", "targets", "metzen2017/figure6", "metzen2017/generalization"])
def test_shards_of_shipped_reproductions_keep_transfers_with_their_perturbation(name: str) -> None:
    trials = unique(row.trial for row in rows_of(load(name, "camvid" if "metzen" in name else None), []))
    shards = [shard(trials, number, 2) for number in (1, 2)]
    assert sorted(p.folder for own in shards for p in own) == sorted(p.folder for p in trials)
    for own in shards:
        folders = {p.folder for p in own}
        assert all(p.source.folder in folders for p in own if p.source)
    work = [sum(p.evaluations(367) for p in own) for own in shards]
    assert min(work) > 0.6 * max(work)


def test_a_transfer_comes_after_the_trial_of_its_perturbation() -> None:
    learned = trial()
    scored = Trial("evaluated", "transfer", trial(limit=3).config, {}, learned)
    assert [p.command for p in unique([scored, trial()])] == ["fit", "transfer"]


def test_the_time_left_depends_on_the_gradient_evaluations() -> None:
    assert trial(epochs=60, limit=10).evaluations(367) == 600
    assert trial("attack", steps=60, images=8).evaluations(367) == 480
    assert trial(epochs=60, limit=None).evaluations(367) == 60 * 367
    assert trial("transfer").evaluations(367) == 0
    assert time_left([trial()], []) is None
    measured = [Measured(trial(limit=10), 60.0, 10), Measured(trial(limit=20), 120.0, 20)]  # 0.1 seconds each
    assert time_left([trial(limit=30), trial("attack", steps=60, images=8)], measured) == pytest.approx(180 + 48)
    transferred = Measured(trial("transfer"), 7.0, 0)
    assert time_left([trial("transfer")] * 2, [*measured, transferred]) == pytest.approx(14)
    assert time_left([trial(limit=None)], measured) is None  # how many images there are is not known yet
    whole = Measured(trial(limit=None), 50.0, 100)
    assert time_left([trial(limit=None)], [whole, transferred]) == pytest.approx(50)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "less than a minute"), (60, "about 1 minute"), (725, "about 12 minutes"), (4800, "about 1 hour 20 minutes")],
)
def test_a_duration_is_written_in_words(seconds: float, text: str) -> None:
    assert about(seconds) == text


TABLE = Table(
    ["tile", "images"],
    {"scored/hidden": "hidden", "seconds": "seconds"},
    [
        Entry({"tile": "60", "images": "25"}, {"scored/hidden": Cell(71.24, 0.39), "seconds": Cell(12.0, None, False)}),
        Entry({"tile": "60", "images": "all"}, {"scored/hidden": Cell(80.0)}, {"scored/hidden": 92}),
        Entry({"tile": "none"}, {"scored/hidden": Cell(99.0)}),
    ],
)


def test_cells_are_rounded_in_tables_and_exact_in_csv() -> None:
    header, rows = columns(TABLE)
    assert header == ["tile", "images", "hidden", "paper", "seconds"]
    assert rows == [
        ["60", "25", "71.2 ± 0.4", NOTHING, "12"],
        ["60", "all", "80.0", "92", NOTHING],
        ["none", NOTHING, "99.0", NOTHING, NOTHING],
    ]
    assert table_markdown(TABLE).splitlines()[2].split("|")[3].strip() == "71.2 ± 0.4"
    assert table_csv(TABLE).splitlines()[1] == "60,25,71.24,0.39,,12.0,,,"


def test_a_curve_for_each_value_of_the_other_axes_and_a_level_without_the_axis() -> None:
    (lines,) = curves.lines_of(TABLE, "images").values()
    assert [line.label for line in lines] == ["hidden, tile 60", "hidden, tile none"]
    assert {name: cell.value for name, cell in lines[0].ours.items()} == {"25": 71.24, "all": 80.0}
    assert lines[0].paper == {"all": 92}
    assert lines[1].level == Cell(99.0)
    curves.plot(TABLE, "images", Path("curves.png"))
    assert Path("curves.png").stat().st_size > 5000


def test_positions_on_a_numeric_axis_are_its_values() -> None:
    assert curves.positions(["2", "5", "0.5"]) == {"2": 2, "5": 5, "0.5": 0.5}
    assert curves.positions(["none", "0.9", "0.99"]) == {"none": 0, "0.9": 1, "0.99": 2}


@pytest.mark.slow
def test_a_folder_names_all_of_its_reproductions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[str] = []
    monkeypatch.setattr("uap.reproduce.run_trials", lambda trials, out: ran.extend(p.folder for p in trials))
    pages = main(["metzen2017", "--on", "streetscenes", "--out", str(tmp_path / "out"), "--attack.images", "3"])

    named = [page.relative_to(tmp_path / "out/metzen2017").as_posix() for page in pages]
    kinds = ["figure3", "figure4", "figure5", "figure6", "generalization", "table1", "table2", "table3"]
    assert named == [f"{kind}/{kind}-streetscenes.html" for kind in kinds]
    assert len(ran) == len(set(ran))
    assert sum("static" in folder and "transfer" not in folder for folder in ran) == 4  # table 1 has them all
    assert any(folder.startswith("attack-") and "images3" in folder for folder in ran)

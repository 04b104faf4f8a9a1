"""The command `python -m uap.reproduce`."""

import contextlib
import csv
import html
import io
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from pytorch_lightning import LightningModule, Trainer

from tests.helpers import learned
from tests.reproduce.helpers import PAPER, StopAt, folders, metrics, reproduce, reproduction, trial_lines
from uap.cli.entry import run_command
from uap.reproduce import main
from uap.universal.callbacks.pictures import Pictures
from uap.universal.callbacks.results import Results
from uap.utils.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the command ran once, with pictures; `printed.txt` has its output."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["uap"])
        patch.setenv("UAP_CACHE", str(folder / "cache"))
        patch.delenv("UAP_QUIET", raising=False)  # a test before this one may have left it
        reproduce(reproduction(paper=PAPER, curves="epsilon", examples=1, perturbations=True))
    (folder / "printed.txt").write_text(printed.getvalue())
    return folder


@pytest.fixture
def done(made: Path, tmp_path: Path) -> str:
    """Copy the files of that folder into the current folder; return the name of the reproduction."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return "table.yaml"


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pictures, which take most of the time of a small run."""
    monkeypatch.setattr(Pictures, "_write", lambda *_: None)


@pytest.mark.usefixtures("done")
def test_the_table_has_the_metrics_of_the_runs_and_of_the_paper() -> None:
    small, large = metrics(30), metrics(80)
    with Path("out/table/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epsilon"] for row in rows] == ["30", "80", "99"]
    for row, expected in zip(rows, (small, large), strict=False):
        for ours, theirs in {
            "train/success_rate": "train/success_rate",
            "scored/success_rate": "val/success_rate",
        }.items():
            assert float(row[ours]) == pytest.approx(100 * expected[theirs], abs=1e-4)
    assert rows[2]["scored/success_rate"] == ""
    assert [row["scored/success_rate paper"] for row in rows] == ["", "60.25", "96.3"]
    assert {row["trials"] for row in rows[:2]} == {folder.name for folder in folders()}

    text = Path("out/table/table.md").read_text()
    wanted = [
        r"\| 80 ",
        f"{100 * large['train/success_rate']:.1f}",
        "61.5",
        f"{100 * large['val/success_rate']:.1f}",
        "60.25",
    ]
    assert re.search(r" *\| *".join(wanted), text), text
    assert "Somebody et al., table 7" in text
    assert "Brightness on CamVid, 24 x 32" in text
    assert "another network, other data, another size of the images and another number of steps" in text
    assert "table.png" in text
    for picture in re.findall(r"]\((.*?)\)", text):
        assert (Path("out/table") / picture).is_file()


@pytest.mark.usefixtures("done")
def test_the_command_prints_its_progress_and_the_paths_of_its_files() -> None:
    printed = Path("printed.txt").read_text()
    assert "trial 1 of 2, epsilon 30\n" in printed
    assert re.search("trial 2 of 2, epsilon 80: (about .* minutes?|less than a minute) left", printed)
    assert "out/table/table.html" in printed


@pytest.mark.usefixtures("done")
def test_the_page_needs_no_other_file_and_no_network() -> None:
    page = Path("out/table/table.html").read_text()

    assert "default-src 'none'; img-src data:;" in html.unescape(page)
    assert "<link" not in page
    assert re.findall(r'(?:src|href)="(?!data:image/)', page) == []
    # the curves; of each trial two pictures under each of two sliders, target and labels; and the perturbation
    # as it is, amplified, and with the prediction on it
    assert page.count('src="data:image/') == 1 + 2 * 6 + 2 * 3
    for words in (
        "60.25",
        "96.3",
        "Somebody et al., table 7",
        "python -m uap.reproduce table.yaml",
        "epsilon 80",
        "torch",
    ):
        assert words in page
    assert f"{100 * metrics(80)['val/success_rate']:.1f}" in page


def test_a_finished_trial_is_not_run_again(done: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path("out/trials").rglob("*")}
    assert reproduce(done) == Path("out/table/table.html")
    reproduce(done, "--data.num_workers", "1")  # changes no result

    assert trial_lines(capsys) == []
    assert {path: path.stat().st_mtime_ns for path in Path("out/trials").rglob("*")} == before


def test_a_table_with_other_settings_does_not_replace_it(done: str) -> None:
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    for changed in (["--data.limit", "2"], ["--model.optimizer.lr", "7"]):
        with pytest.raises(InputError, match=r"table.html is there already .* Set another --out"):
            reproduce(done, *changed)
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before


def test_an_invalid_epsilon_is_refused_before_any_trial_runs() -> None:
    name = reproduction(axes={"epsilon": {"setting": "model.epsilon", "values": [30, 300]}})
    with pytest.raises(InputError, match="epsilon is 300"):
        reproduce(name)
    assert not Path("out/trials").exists()


@pytest.mark.usefixtures("no_pictures")
def test_the_other_trials_run_when_a_trial_is_refused() -> None:
    epsilon = {
        "30": {"settings": {"model.epsilon": 30}},
        "unreadable": {"settings": {"data.root": "nowhere"}},
        "80": {"settings": {"model.epsilon": 80}},
    }
    name = reproduction(axes={"epsilon": epsilon})
    with pytest.raises(InputError, match=r"^epsilon unreadable: .*nowhere"):
        reproduce(name)
    with Path("out/table/table.csv").open() as file:
        reached = {row["epsilon"]: bool(row["scored/success_rate"]) for row in csv.DictReader(file)}
    assert reached == {"30": True, "unreadable": False, "80": True}
    assert "1 of 3 trials are missing: epsilon unreadable" in Path("out/table/table.md").read_text()


@pytest.mark.usefixtures("no_pictures")
def test_a_signal_during_scoring_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(self: Results, trainer: Trainer, module: LightningModule) -> None:
        write(self, trainer, module)
        os.kill(os.getpid(), signal.SIGTERM)

    write = Results.on_train_end
    monkeypatch.setattr(Results, "on_train_end", tell)
    name = reproduction()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: reproduce(name))
    assert ended.value.code == 143
    assert len(folders()) == 1


@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_trial_is_resumed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stop = {"class_path": f"{StopAt.__module__}.StopAt", "init_args": {"step": 4}}
    name = reproduction(runs=[{"axes": [], "settings": {"trainer.callbacks": [stop]}}])
    monkeypatch.setenv("STOP", "1")
    with pytest.raises(InputError, match="stopped by the test"):
        reproduce(name)
    (folder,) = folders()
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert not (folder / "metrics.json").exists()
    monkeypatch.delenv("STOP")
    capsys.readouterr()
    reproduce(name)

    assert "epoch 1" not in capsys.readouterr().out
    assert json.loads((folder / "metrics.json").read_text())["gradient_evaluations"] == 12
    main([name, "--out", "whole", "--data.root", "camvid"])
    assert torch.equal(learned(folder), learned(Path("whole/trials") / folder.name))


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the folder is a copy
@pytest.mark.usefixtures("no_pictures")
def test_a_trial_that_was_interrupted_before_its_metrics_gets_them(
    done: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = Path("out/trials").glob("*epsilon80*")
    whole, before = learned(folder), metrics(80)
    for file in ("metrics.json", "perturbation.safetensors", "perturbation.png", "trial.json"):
        (folder / file).unlink()
    reproduce(done)

    assert "epoch 1" not in capsys.readouterr().out
    assert torch.equal(learned(folder), whole)
    assert metrics(80)["val/success_rate"] == before["val/success_rate"]


@pytest.mark.usefixtures("no_pictures")
def test_a_second_command_waits_for_a_trial_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    name = reproduction(axes={})
    reproduce(name)
    (folder,) = folders()
    (folder / "trial.json").unlink()
    other = FileLock(folder / "lock")
    other.acquire()
    second = threading.Thread(target=reproduce, args=[name])
    second.start()
    while "waits for another command that runs it" not in capsys.readouterr().out:
        time.sleep(0.05)
    (folder / "trial.json").write_text(json.dumps({"title": "", "seconds": 7, "versions": "of the other command"}))
    other.release()
    second.join()

    assert "of the other command" in Path("out/table/table.md").read_text()


@pytest.mark.usefixtures("no_pictures")
def test_shards_run_every_nth_trial_and_the_last_makes_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    name = reproduction()
    reproduce(name, "--shard", "2/2")
    printed = capsys.readouterr().out
    assert "trial 1 of 1, epsilon 80" in printed
    assert "1 of 2 trials are missing: epsilon 30." in printed
    assert "1 of 2 trials are missing" in Path("out/table/table.md").read_text()
    assert len(folders()) == 1
    reproduce(name, "--shard", "1/2")

    assert "trials are missing" not in capsys.readouterr().out
    assert "trials are missing" not in Path("out/table/table.html").read_text()
    assert len(folders()) == 2


@pytest.mark.usefixtures("no_pictures", "done")
def test_reproductions_share_their_trials(capsys: pytest.CaptureFixture[str]) -> None:
    tiles = {"setting": "model.tile", "values": {"none": None, "8 x 8": [8, 8]}}
    reproduce(reproduction("other", axes={"tile": tiles}, runs=[{"settings": {"model.epsilon": 80}}]))

    assert [line.split(":")[0] for line in trial_lines(capsys)] == ["trial 2 of 2, tile 8 x 8"]
    assert len(folders()) == 3


@pytest.mark.usefixtures("no_pictures")
def test_overrides_reach_every_trial_but_not_the_varied_setting() -> None:
    reproduce(reproduction(), "--model.epsilon", "5", "--data.limit=3")
    assert metrics(30)["images"] == metrics(80)["images"] == {"train": 3, "scored": 4}


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_seeds_are_averaged(capsys: pytest.CaptureFixture[str]) -> None:
    option = {
        "plain": {},
        "momentum": {
            "settings": {"model.optimizer": {"class_path": "uap.universal.optim.SignSGD", "init_args": {"lr": 45}}}
        },
    }
    seed = {"setting": "data.seed", "values": [0, 1]}
    reproduce(reproduction(axes={"option": option, "seed": seed}, reduce="seed"), "--data.limit", "2")

    rates: dict[float, list[float]] = {}
    for folder in folders():
        step = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][0]
        rate = json.loads((folder / "metrics.json").read_text())["train/success_rate"]
        rates.setdefault(step["param_groups"][0]["initial_lr"], []).append(100 * rate)
    with Path("out/table/table.csv").open() as file:
        rows = {row["option"]: row for row in csv.DictReader(file)}
    for name, step in {"plain": 60, "momentum": 45}.items():
        values = torch.tensor(rates[step])
        assert len(values) == 2
        assert float(rows[name]["train/success_rate"]) == pytest.approx(float(values.mean()), abs=1e-3)
        assert float(rows[name]["train/success_rate spread"]) == pytest.approx(float(values.std()), abs=1e-3)
    assert re.search(r"\| plain +\| +\d+\.\d ± \d+\.\d \|", capsys.readouterr().out)


@pytest.mark.usefixtures("no_pictures")
def test_an_axis_can_name_networks_by_their_files() -> None:
    victim = {"class_path": "uap.victims.Victim", "init_args": {"classes": ["sky", "building"]}}
    for threshold in (100, 150):
        network = {"class_path": "tests.helpers.Brightness", "init_args": {"threshold": threshold}}
        text = json.dumps({"model": {"victim": {**victim, "init_args": {**victim["init_args"], "network": network}}}})  # type: ignore[dict-item]
        Path(f"network{threshold}.yaml").write_text(text)
    networks: dict[str, Any] = {
        "first": {"configs": ["network100.yaml"]},
        "second": {"configs": ["{nets}/network150.yaml"], "settings": {"model.epsilon": 20}},
    }
    reproduce(reproduction(axes={"network": networks}, folders={"nets": "nowhere"}), "--nets", ".")

    found = [json.loads((folder / "metrics.json").read_text()) for folder in folders()]
    assert len({metrics["victim_fingerprint"] for metrics in found}) == 2
    assert {metrics["epsilon"] for metrics in found} == {20, 60}
